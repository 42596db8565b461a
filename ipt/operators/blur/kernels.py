"""Generators of blur kernels: camera motion, Gaussian and defocus.

Wherever an interval (low, high) is asked for, a single number stands for both.

Every generator draws kernels (B, 1, H, W), non-negative, each summing to 1, with the centroid on the centre pixel
(H // 2, W // 2): blind deblurring cannot tell a shifted kernel from a shifted picture, so the convention is fixed
here, in the data that kernel priors are trained on. One seed a kernel; a kernel does not depend on its batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.core.operator import Generator
from ipt.operators.draws import interval, uniform_and_normal

_PATH = 256
"""Points drawn on a trajectory."""
_FINE = 8
"""Parts of the way between two of them: at full speed in a 64-pixel window they are up to 7 pixels apart, and the light
that falls on the sensor between them must not be missing."""


class MotionKernels(Generator):
    """Blur by a hand-held camera: a smooth random path, drawn once over the exposure.

    Args:
        intensity: (low, high) within 0..1, drawn uniformly a kernel; 0 is a straight line at constant speed, 1 is
            tangled, with sudden turns and changes of speed (the role of `intensity` in the kernels of BlindDPS, arXiv
            2211.10656, section 4.1; the path's model is this package's own).
        extent: (low, high) of the larger side of the path's bounding box, in pixels, drawn log-uniformly; None: from
            3 px to the kernel's smaller side.
    """

    def __init__(self, intensity: tuple[float, float] = (0.2, 1.0), extent: tuple[float, float] | None = None):
        self.intensity = interval("intensity", intensity, 0, 1)
        self.extent = None if extent is None else interval("extent", extent, 1, math.inf)

    def sample(self, seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
        height, width = shape[-2:]
        uniform, normal = uniform_and_normal(seeds, 8, 4 * _PATH)
        low, high = self.intensity
        intensity = low + (high - low) * uniform[:, 0:1]
        extent = _extents(self.extent, height, width, uniform[:, 1:2])
        normal = normal.reshape(-1, 4, _PATH)
        # The direction of travel wanders: slow curvature everywhere, and sudden turns at a few instants.
        curvature = _smooth(normal[:, 0], 24) * intensity * 0.12
        turns = (_smooth(normal[:, 1], 2).abs() > 2.6 - 0.5 * intensity) * normal[:, 2] * intensity * 1.2
        angle = 2 * math.pi * uniform[:, 2:3] + (curvature + turns).cumsum(1)
        # The speed varies by a factor that grows with the intensity.
        speed = (_smooth(normal[:, 3], 16) * intensity).exp()
        path = torch.stack([speed * angle.sin(), speed * angle.cos()], dim=1).cumsum(2)
        box = path.amax(2) - path.amin(2)
        # A pixel's own width counts: a path of no length is a kernel one pixel wide.
        path = path * ((extent - 1) / box.amax(1, keepdim=True))[:, :, None]
        path = F.interpolate(path, (_PATH - 1) * _FINE + 1, mode="linear", align_corners=True)
        path = path - path.mean(2, keepdim=True)
        # Centred on its mass, a lopsided path can reach over the edge: shrink it rather than lose a part of it.
        room = (min(height, width) - 1) // 2
        path = path * (room / path.abs().amax((1, 2), keepdim=True).clamp(min=1e-6)).clamp(max=1)
        return _normalized(_splat(path, height, width))


class GaussianKernels(Generator):
    """Gaussian blur, isotropic or stretched along a random direction.

    Args:
        std: (low, high) of the standard deviation along the long axis in pixels, drawn log-uniformly; None: from .3 px
            to a fifth of the kernel's smaller side (BlindDPS draws it uniformly in .1..5 px).
        anisotropy: (low, high) of long over short axis, drawn uniformly; (1, 1) is isotropic.
    """

    def __init__(self, std: tuple[float, float] | None = None, anisotropy: tuple[float, float] = (1.0, 3.0)):
        self.std = None if std is None else interval("std", std, 1e-3, math.inf)
        self.anisotropy = interval("anisotropy", anisotropy, 1, math.inf)

    def sample(self, seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
        height, width = shape[-2:]
        uniform, _ = uniform_and_normal(seeds, 4, 0)
        low, high = self.std or (0.3, max(0.6, min(height, width) / 5))
        std = (low * (high / low) ** uniform[:, 0])[:, None, None]
        low, high = self.anisotropy
        # Half of the kernels are isotropic: the commonest case is a measure-zero subset of the others.
        ratio = torch.where(uniform[:, 3] < 0.5, low, low + (high - low) * uniform[:, 1])[:, None, None]
        along, across = _rotated(height, width, math.pi * uniform[:, 2])
        # The short axis keeps the width that one pixel's own aperture has.
        short = torch.maximum(std / ratio, std.clamp(max=0.3))
        kernel = torch.exp(-0.5 * ((along / std) ** 2 + (across / short) ** 2))
        return _normalized(_balanced(kernel)[:, None])


class DefocusKernels(Generator):
    """Defocus: a uniform disc, its edge smoothed over one pixel.

    Args:
        radius: (low, high) in pixels, drawn log-uniformly; None: from 1 px to half of the kernel's smaller side.
    """

    def __init__(self, radius: tuple[float, float] | None = None):
        self.radius = None if radius is None else interval("radius", radius, 1e-3, math.inf)

    def sample(self, seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
        height, width = shape[-2:]
        uniform, _ = uniform_and_normal(seeds, 1, 0)
        low, high = self.radius or (1.0, max(1.5, (min(height, width) - 1) / 2))
        radius = (low * (high / low) ** uniform[:, 0])[:, None, None]
        along, across = _rotated(height, width, torch.zeros(len(uniform)))
        return _normalized(_balanced((radius + 0.5 - torch.hypot(along, across)).clamp(0, 1))[:, None])


class MixedKernels(Generator):
    """Draws each kernel from one of several generators: the training set of the `kernel` prior.

    Args:
        parts: (odds, generator) each; None: 60 % motion, 25 % Gaussian, 15 % defocus.
    """

    def __init__(self, parts: Sequence[tuple[float, Generator]] | None = None):
        parts = parts or ((0.6, MotionKernels((0.0, 1.0))), (0.25, GaussianKernels()), (0.15, DefocusKernels()))
        self.parts = tuple(parts)

    def sample(self, seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
        choice, _ = uniform_and_normal([seed ^ 0x5EED for seed in seeds], 1, 0)
        total = sum(odds for odds, _ in self.parts)
        out = torch.empty(len(seeds), 1, *shape[-2:])
        edge = 0.0
        for odds, part in self.parts:
            chosen = (choice[:, 0] >= edge) & (choice[:, 0] < edge + odds / total)
            edge += odds / total
            index = chosen.nonzero()[:, 0].tolist()
            if index:
                out[index] = part.sample([seeds[i] for i in index], shape)
        return out


def _extents(bounds: tuple[float, float] | None, height: int, width: int, uniform: Tensor) -> Tensor:
    side = float(min(height, width))
    low, high = bounds or (min(3.0, side), side)
    return low * (high / low) ** uniform


def _smooth(noise: Tensor, width: int) -> Tensor:
    """White noise (B, T) made smooth over about `width` samples, unit variance."""
    reach = 3 * width
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / width) ** 2)
    taps = taps / taps.square().sum().sqrt()
    padded = F.pad(noise[:, None], (reach, reach), mode="circular")
    return F.conv1d(padded, taps[None, None].to(noise))[:, 0]


def _splat(path: Tensor, height: int, width: int) -> Tensor:
    """Deposit a path (B, 2, T), in pixels about the centre, bilinearly on a grid (B, 1, H, W); outside, it is lost."""
    row, column = path[:, 0] + height // 2, path[:, 1] + width // 2
    top, left = row.floor(), column.floor()
    grid = torch.zeros(len(path), height * width, dtype=path.dtype)
    for down in (0, 1):
        for right in (0, 1):
            r, c = top + down, left + right
            weight = (1 - (row - r).abs()) * (1 - (column - c).abs())
            inside = (r >= 0) & (r < height) & (c >= 0) & (c < width)
            index = (r.clamp(0, height - 1) * width + c.clamp(0, width - 1)).long()
            grid.scatter_add_(1, index, weight * inside)
    return grid.reshape(-1, 1, height, width)


def _balanced(kernel: Tensor) -> Tensor:
    """(B, H, W) without the first row and column of an even side.

    They have no partner across the centre pixel, and what a wide kernel has there would pull its centroid off.
    """
    height, width = kernel.shape[-2:]
    mask = torch.ones(height, width)
    if height % 2 == 0:
        mask[0] = 0
    if width % 2 == 0:
        mask[:, 0] = 0
    return kernel * mask


def _rotated(height: int, width: int, angle: Tensor) -> tuple[Tensor, Tensor]:
    """Coordinates (B, H, W) along and across a direction, in pixels from the centre pixel."""
    rows = (torch.arange(height) - height // 2)[None, :, None]
    columns = (torch.arange(width) - width // 2)[None, None, :]
    cosine, sine = angle.cos()[:, None, None], angle.sin()[:, None, None]
    return columns * cosine + rows * sine, rows * cosine - columns * sine


def _normalized(kernel: Tensor) -> Tensor:
    return kernel / kernel.sum((-2, -1), keepdim=True)
