"""Two denoisers as one: one for little noise, one for much. At every noise level only one of them is called."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ipt.core.errors import IptError
from ipt.priors.edm import EDMDenoiser
from ipt.priors.ffdnet import FFDNet, FFDNetConfig
from ipt.priors.unet import UNet, UNetConfig

HALF_PRECISION_FROM = 0.2
"""Noise level in normalized units below which `low` always computes in float32. The whole picture passes through its
layers, and bfloat16 leaves an error of 0.003 (of 0..1) that is the same at every noise level and much the same in every
picture: docs/method.md, Constants."""


@dataclass(frozen=True)
class ExpertsConfig:
    """What determines the two.

    Args:
        low: The network below the level `switch`.
        high: The network from there up, with EDM's preconditioning.
        switch: The noise level in normalised units, above 0.
        least: The least level that `low` is given, where less than this would be outside what it was trained on.
        sigma_data: Standard deviation of the clean data, for the preconditioning of `high`.
    """

    low: FFDNetConfig
    high: UNetConfig
    switch: float
    least: float
    sigma_data: float

    def __post_init__(self) -> None:
        if self.low.channels != self.high.channels:
            raise IptError(f"experts have {self.low.channels} and {self.high.channels} channels: give both the same")
        if not 0 <= self.least < self.switch:
            raise IptError(f"experts need 0 <= least < switch, not {self.least:g} and {self.switch:g}")

    @property
    def channels(self) -> int:
        return self.high.channels

    @property
    def multiple(self) -> int:
        return max(self.low.multiple, self.high.multiple)

    @property
    def local(self) -> bool:
        """Whether what is found at a pixel depends on its surroundings alone, so that any size will do."""
        return self.high.local

    def to_dict(self) -> dict[str, Any]:
        return {
            "low": self.low.to_dict(),
            "high": self.high.to_dict(),
            "switch": self.switch,
            "least": self.least,
            "sigma_data": self.sigma_data,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ExpertsConfig:
        low, high = FFDNetConfig.from_dict(values["low"]), UNetConfig.from_dict(values["high"])
        return cls(low, high, float(values["switch"]), float(values["least"]), float(values["sigma_data"]))


class Experts(nn.Module):
    """The two networks' parameters."""

    def __init__(self, config: ExpertsConfig):
        super().__init__()
        self.config = config
        self.low, self.high = FFDNet(config.low), UNet(config.high)


class ExpertsDenoiser(nn.Module):
    """D(noisy, sigma): noisy (B, C, H, W) in normalised units, sigma (B,) > 0; returns (B, C, H, W)."""

    def __init__(self, network: Experts):
        super().__init__()
        self.network = network

    def forward(self, noisy: Tensor, sigma: Tensor) -> Tensor:
        config = self.network.config
        little = sigma < config.switch
        if little.all():
            precise = bool((sigma < HALF_PRECISION_FROM).any())
            with torch.autocast(noisy.device.type, enabled=False) if precise else nullcontext():
                clean: Tensor = self.network.low(noisy, sigma.clamp(min=config.least))
            if config.least == 0:
                return clean
            # What is removed falls like the noise's variance, below the least level too.
            share = (sigma / config.least).clamp(max=1).square().reshape(-1, 1, 1, 1)
            return noisy + share.to(noisy.dtype) * (clean - noisy)
        if not little.any():
            return EDMDenoiser(self.network.high, config.sigma_data).forward(noisy, sigma)
        clean = torch.empty_like(noisy)
        for chosen in (little, ~little):
            clean[chosen] = self(noisy[chosen], sigma[chosen])
        return clean
