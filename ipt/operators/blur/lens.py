"""The blur of lens and pixel, on top of any kernel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.core.operator import Generator
from ipt.operators.blur.rendering import normalized
from ipt.operators.draws import interval, log_uniform, uniform_and_normal

_TAPS = 32
"""Pixels on one side of a Gaussian."""


class ThroughLens(Generator):
    """The kernels of another generator, convolved with a small Gaussian, and some of them with a disc.

    Neither leaves the window: near its edge the Gaussian is narrower, and a disc is as large as fits. Sum and centroid
    of a kernel do not change.

    Args:
        generator: generator of the kernels.
        std: (low, high) of the Gaussian's standard deviation in pixels, drawn uniformly.
        sharp: share of kernels without the Gaussian, 0..1.
        defocused: share of kernels with the disc, 0..1.
        radius: (low, high) of the disc's radius in pixels, drawn log-uniformly.
    """

    def __init__(
        self,
        generator: Generator,
        std: tuple[float, float] = (0.2, 0.9),
        sharp: float = 0.25,
        defocused: float = 0.0,
        radius: tuple[float, float] = (1.0, 3.5),
    ):
        self.generator = generator
        self.std = interval("std", std, 0, _TAPS / 6)
        self.sharp = interval("sharp", sharp, 0, 1)[0]
        self.defocused = interval("defocused", defocused, 0, 1)[0]
        self.radius = interval("radius", radius, 1e-3, _TAPS)

    def sample(self, seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
        kernels = self.generator.sample(seeds, shape)
        uniform, _ = uniform_and_normal([seed ^ 0x1E45 for seed in seeds], 4, 0)
        index = (uniform[:, 2] < self.defocused).nonzero()[:, 0]
        if len(index):
            kernels[index] = _defocused(kernels[index], log_uniform(self.radius, uniform[index, 3]))
        low, high = self.std
        std = torch.where(uniform[:, 0] < self.sharp, 0, low + (high - low) * uniform[:, 1])
        down, right = (_gaussian(std, side) for side in shape[-2:])
        kernels = (down @ kernels[:, 0] @ right.mT)[:, None]
        return normalized(kernels)


def _gaussian(std: Tensor, side: int) -> Tensor:
    """Matrices (B, side, side) that blur along one axis.

    They are the discrete Gaussian (Lindeberg, Scale-space for discrete signals, IEEE TPAMI 1990), whose variance is
    exactly std^2. Taps that would leave the window on one side of a pixel are dropped on both.
    """
    frequency = torch.arange(_TAPS + 1) * (torch.pi / _TAPS)
    taps = torch.fft.irfft((std[:, None] ** 2 * (frequency.cos() - 1)).exp(), n=2 * _TAPS).clamp(min=0)
    place = torch.arange(side)
    distance = (place[:, None] - place).abs()
    # In an even side the first pixel has no counterpart across the centre pixel.
    edge = torch.minimum(place - (side + 1) % 2, side - 1 - place).clamp(min=0, max=_TAPS - 1)
    matrix: Tensor = taps[:, distance.clamp(max=_TAPS)] * (distance <= edge)
    return matrix / matrix.sum(1, keepdim=True)


def _defocused(kernels: Tensor, radius: Tensor) -> Tensor:
    """Kernels (B, 1, H, W) convolved with discs of radii (B,) in pixels, smaller where they would leave the window."""
    margin = torch.full_like(radius, torch.inf)
    for axis, side in ((3, kernels.shape[2]), (2, kernels.shape[3])):
        place = (torch.arange(side) - side // 2).abs()
        lit = kernels.amax((1, axis)) > 0
        margin = torch.minimum(margin, (side - 1) // 2 - torch.where(lit, place, 0).amax(1))
    # A disc of radius r reaches pixels less than r + .5 away. Where rounding has lit the first row of an even side, the
    # margin is negative, and the disc a single point.
    radius = torch.minimum(radius, margin.clamp(min=0) + 0.5)
    reach = int(radius.max().ceil())
    away = torch.hypot(*torch.meshgrid(*[torch.arange(-reach, reach + 1.0)] * 2, indexing="ij"))
    discs = normalized((radius[:, None, None] + 0.5 - away).clamp(0, 1))
    return F.conv2d(kernels.transpose(0, 1), discs[:, None], padding=reach, groups=len(kernels)).transpose(0, 1)
