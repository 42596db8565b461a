"""A tiny random network as a prior, for tests of rules."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ipt.core.prior import Prior
from ipt.linalg.normalization import Normalization


class ConvolutionPrior(Prior):
    """EDM's form around two random convolutions, bounded, so that chains stay tame; counts its calls.

    Each prior has its own weights, from its own seed, and chart -1..1 -> 0..1.
    """

    def __init__(self, channels: int, seed: int, dtype: torch.dtype = torch.float32):
        generator = torch.Generator().manual_seed(seed)
        self.body = nn.Sequential(nn.Conv2d(channels, 6, 3, padding=1), nn.SiLU(), nn.Conv2d(6, channels, 3, padding=1))
        for weight in self.body.parameters():
            weight.data = 0.5 * torch.randn(weight.shape, generator=generator)
            weight.requires_grad_(False)
        self.body.to(dtype)
        self.channels, self.calls = channels, 0

    def normalization(self, shape):
        if shape[0] != self.channels:
            raise ValueError(f"takes {self.channels} channels, not {shape}")
        return Normalization(shape, shape, 0.5, 0.5)

    def denoise(self, noisy, sigma):
        self.calls += 1
        total = (sigma**2 + 0.25) ** 0.5
        return 0.25 / total**2 * noisy + sigma * 0.5 / total * torch.tanh(self.body(noisy / total))


@pytest.fixture
def convolution_prior():
    """The class: (channels, seed, dtype) -> a prior."""
    return ConvolutionPrior
