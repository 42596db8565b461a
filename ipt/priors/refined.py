"""A denoiser for twice the side: a trained network for the coarse picture, and a small one for the detail.

Averaging over 2x2 pixels halves white noise. So the averaged noisy picture of level sigma is a picture of level
sigma / 2, which a network that was trained at half of the side (the base) denoises. Its result, enlarged, is u. The
detail network gets u and the difference x - u, and estimates the clean difference:

    u = up(D_base(mean2x2(x), sigma / 2)),     D(x, sigma) = u + D_detail(x - u, sigma | u)

D_detail has EDM's preconditioning (arXiv 2206.00364, table 1) with a standard deviation of its data that depends on the
noise level, because the difference consists of what averaging loses and of the base's error. At levels where no detail
can be seen, the result is that of the base. The base may be such a pair itself, and the side is then doubled twice.

References:
    Ho et al., "Cascaded Diffusion Models for High Fidelity Image Generation" (arXiv 2106.15282); there the stages
    sample one after the other, here they are one denoiser at every level.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ipt.core.errors import IptError
from ipt.priors.edm import EDMDenoiser, loss_weight, preconditioned
from ipt.priors.unet import UNet, UNetConfig


@dataclass(frozen=True)
class RefinedConfig:
    """What determines the two networks.

    Attributes:
        base: configuration of the base, which may be a pair itself.
        detail: configuration of the detail network.
        side: side of the refined pictures in pixels; those of the base have half of it.
        lost: standard deviation of what averaging over 2x2 pixels loses, in normalized units.
        errors: the base's mean squared error by noise level, as pairs (level, error) from the lowest level up.

    Raises:
        IptError: configurations that do not go together.
    """

    base: UNetConfig | RefinedConfig
    detail: UNetConfig
    side: int
    lost: float
    errors: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        if self.base.channels != self.detail.channels:
            raise IptError(
                f"the coarse network has {self.base.channels} channels, the one for the detail {self.detail.channels}"
            )
        if self.side % self.multiple:
            raise IptError(f"a refined picture's side is a multiple of {self.multiple}, not {self.side}")
        if not self.errors or min(min(pair) for pair in self.errors) <= 0 or self.lost <= 0:
            raise IptError("refining needs the base's errors by noise level, all above 0: validate it first")
        if isinstance(self.base, RefinedConfig) and self.side != 2 * self.base.side:
            raise IptError(
                f"the base refines pictures of {self.base.side} x {self.base.side} px: what is refined in turn has "
                f"sides of {2 * self.base.side}, not {self.side}"
            )

    @property
    def channels(self) -> int:
        """Channels of a picture."""
        return self.detail.channels

    @property
    def multiple(self) -> int:
        """Heights and widths must be multiples of this many pixels."""
        return max(2 * self.base.multiple, self.detail.multiple)

    def stages(self) -> Iterator[RefinedConfig]:
        """The pairs from the largest pictures to the smallest: this one, its base if it is a pair, and so on."""
        stage: UNetConfig | RefinedConfig = self
        while isinstance(stage, RefinedConfig):
            yield stage
            stage = stage.base

    @property
    def sides(self) -> list[int]:
        """Sides in pixels of the pictures of all networks, from the smallest up."""
        found = [stage.side for stage in self.stages()]
        return sorted([*found, found[-1] // 2])

    def to_dict(self) -> dict[str, Any]:
        """The configuration as JSON types."""
        return {
            "base": self.base.to_dict(),
            "detail": self.detail.to_dict(),
            "side": self.side,
            "lost": self.lost,
            "errors": [list(pair) for pair in self.errors],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RefinedConfig:
        """The configuration from its `to_dict`."""
        errors = tuple((float(level), float(error)) for level, error in values["errors"])
        base, detail = config_of(values["base"]), UNetConfig.from_dict(values["detail"])
        return cls(base, detail, int(values["side"]), float(values["lost"]), errors)


class Refined(nn.Module):
    """Base and detail network. Only the parameters of the detail network are trained."""

    levels: Tensor
    deviations: Tensor

    def __init__(self, config: RefinedConfig):
        super().__init__()
        self.config = config
        self.base = network_of(config.base).requires_grad_(False)
        self.detail = UNet(config.detail, beside=config.channels)
        levels, errors = torch.tensor(config.errors, dtype=torch.float64).log().T.float().contiguous()
        self.register_buffer("levels", levels, persistent=False)
        self.register_buffer("deviations", errors / 2, persistent=False)

    def deviation(self, sigma: Tensor) -> Tensor:
        """Standard deviation of the difference between a clean picture and the base's enlarged estimate, (B,).

        It consists of what averaging loses and of the base's error, interpolated log-log between measured levels.
        """
        level = (sigma / 2).log().to(self.levels)
        above = torch.searchsorted(self.levels, level).clamp(1, len(self.levels) - 1)
        low, high = self.levels[above - 1], self.levels[above]
        share = ((level - low) / (high - low)).clamp(0, 1)
        error = torch.lerp(self.deviations[above - 1], self.deviations[above], share).exp()
        return torch.hypot(error, error.new_tensor(self.config.lost)).to(sigma)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compiles both networks; this module itself is never called."""
        self.base.compile(*args, **kwargs)
        self.detail.compile(*args, **kwargs)


class RefinedDenoiser(nn.Module):
    """D(noisy, sigma): noisy normalized, (B, C, S, S), with S the refined side or less; sigma (B,) > 0.

    A picture of half of the side or less is denoised by the base alone.

    Args:
        network: base and detail network.
        sigma_data: standard deviation of the clean pictures, at every side.
    """

    def __init__(self, network: Refined, sigma_data: float = 0.5):
        super().__init__()
        self.network = network
        self.sigma_data = sigma_data

    def forward(self, noisy: Tensor, sigma: Tensor) -> Tensor:
        return _denoised(self.network, noisy, sigma, self.sigma_data)

    def loss_weight(self, sigma: Tensor) -> Tensor:
        return loss_weight(sigma, self.network.deviation(sigma))


def _denoised(network: UNet | Refined, noisy: Tensor, sigma: Tensor, sigma_data: float) -> Tensor:
    if isinstance(network, UNet):
        return preconditioned(network, noisy, sigma, sigma_data)
    if noisy.shape[-1] <= network.config.side // 2:
        return _denoised(network.base, noisy, sigma, sigma_data)
    coarse = _denoised(network.base, F.avg_pool2d(noisy, 2), sigma / 2, sigma_data)
    known = F.interpolate(coarse, scale_factor=2, mode="bilinear")
    # The condition has about unit variance, as the network's other input.
    condition = known / sigma_data

    def conditioned(rest: Tensor, label: Tensor) -> Tensor:
        found: Tensor = network.detail(torch.cat([rest, condition.to(rest.dtype)], dim=1), label)
        return found

    return known + preconditioned(conditioned, noisy - known, sigma, network.deviation(sigma))


NetworkConfig: TypeAlias = "UNetConfig | RefinedConfig"


def config_of(values: Mapping[str, Any]) -> NetworkConfig:
    """The config of a network that `ipt train` trains, from its `to_dict`.

    Raises:
        KeyError, TypeError, ValueError: the values are not those of a config.
    """
    return RefinedConfig.from_dict(values) if "base" in values else UNetConfig.from_dict(values)


def network_of(config: NetworkConfig) -> UNet | Refined:
    """The network of a config, with random weights."""
    return Refined(config) if isinstance(config, RefinedConfig) else UNet(config)


def denoiser_of(config: NetworkConfig, sigma_data: float) -> EDMDenoiser | RefinedDenoiser:
    """The denoiser of a config, with random weights."""
    network = network_of(config)
    if isinstance(network, Refined):
        return RefinedDenoiser(network, sigma_data)
    return EDMDenoiser(network, sigma_data)


def lost_by_averaging(pictures: Tensor) -> float:
    """Root mean square of the difference between pictures (B, C, S, S) and their enlarged means over 2x2 pixels."""
    enlarged = F.interpolate(F.avg_pool2d(pictures, 2), scale_factor=2, mode="bilinear")
    return float((pictures - enlarged).square().mean().sqrt())
