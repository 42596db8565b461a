"""Generators of blur kernels: Gaussian, defocus and boxes, and their mixture with motion (`ipt.operators.blur.tracks`).

Every generator draws kernels (B, 1, H, W), non-negative, each summing to 1, with the centroid on the centre pixel
(H // 2, W // 2). Blind deblurring cannot tell a shifted kernel from a shifted picture, so this convention is fixed in
the data on which kernel priors are trained. There is one seed for each kernel, and a kernel does not depend on its
batch. Wherever an option is an interval (low, high), a single number stands for both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ipt.core.operator import Generator
from ipt.operators.blur.lens import ThroughLens
from ipt.operators.blur.rendering import balanced, extents, normalized, rotated
from ipt.operators.blur.tracks import LineKernels, MotionKernels, ShakeKernels
from ipt.operators.draws import interval, log_uniform, uniform_and_normal

__all__ = [
    "BoxKernels",
    "DefocusKernels",
    "GaussianKernels",
    "LineKernels",
    "MixedKernels",
    "MotionKernels",
    "ShakeKernels",
    "ThroughLens",
]


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
        std = log_uniform(self.std or (0.3, max(0.6, min(height, width) / 5)), uniform[:, 0])[:, None, None]
        low, high = self.anisotropy
        # Half of the kernels are isotropic, the most common case, which the stretched ones never are exactly.
        ratio = torch.where(uniform[:, 3] < 0.5, low, low + (high - low) * uniform[:, 1])[:, None, None]
        along, across = rotated(height, width, math.pi * uniform[:, 2])
        # The short axis is no narrower than the aperture of one pixel.
        short = torch.maximum(std / ratio, std.clamp(max=0.3))
        kernel = torch.exp(-0.5 * ((along / std) ** 2 + (across / short) ** 2))
        return normalized(balanced(kernel)[:, None])


class DefocusKernels(Generator):
    """Defocus: a uniform disc, its edge smoothed over one pixel.

    Args:
        radius: (low, high) of the long half-axis in pixels, drawn log-uniformly; None: from 1 px to half of the
            kernel's smaller side.
        anisotropy: (low, high) of long over short axis, drawn uniformly; the long axis has any angle.
        edge: (low, high) of the width in pixels over which the edge falls, drawn uniformly.
    """

    def __init__(
        self,
        radius: tuple[float, float] | None = None,
        anisotropy: tuple[float, float] = (1.0, 1.0),
        edge: tuple[float, float] = (1.0, 1.0),
    ):
        self.radius = None if radius is None else interval("radius", radius, 1e-3, math.inf)
        self.anisotropy = interval("anisotropy", anisotropy, 1, math.inf)
        self.edge = interval("edge", edge, 1, math.inf)

    def sample(self, seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
        height, width = shape[-2:]
        uniform, _ = uniform_and_normal(seeds, 4, 0)
        radius, ratio, angle, edge = uniform[:, :, None, None].unbind(1)
        radius = log_uniform(self.radius or (1.0, max(1.5, (min(height, width) - 1) / 2)), radius)
        ratio = self.anisotropy[0] + (self.anisotropy[1] - self.anisotropy[0]) * ratio
        edge = self.edge[0] + (self.edge[1] - self.edge[0]) * edge
        along, across = rotated(height, width, torch.where(ratio == 1, 0, math.pi * angle)[:, 0, 0])
        kernel = ((radius + edge / 2 - torch.hypot(along, across * ratio)) / edge).clamp(0, 1)
        return normalized(balanced(kernel)[:, None])


class BoxKernels(Generator):
    """Uniform rectangles, their edges smoothed over one pixel, shrunk where they would not fit.

    Args:
        side: (low, high) of the longer side in pixels, drawn log-uniformly; None: from 2 px to the kernel's
            smaller side.
        square: share of squares, 0..1; the shorter side of the others is drawn log-uniformly from 1 px.
        aligned: share with sides along the axes, 0..1; the others have any angle.
    """

    def __init__(self, side: tuple[float, float] | None = None, square: float = 0.35, aligned: float = 0.5):
        self.side = None if side is None else interval("side", side, 1, math.inf)
        self.square = interval("square", square, 0, 1)[0]
        self.aligned = interval("aligned", aligned, 0, 1)[0]

    def sample(self, seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
        height, width = shape[-2:]
        uniform, _ = uniform_and_normal(seeds, 5, 0)
        long = log_uniform(self.side or extents(2.0, height, width), uniform[:, 0])
        short = torch.where(uniform[:, 1] < self.square, long, long ** uniform[:, 2])
        angle = torch.where(
            uniform[:, 3] < self.aligned, (2 * uniform[:, 4]).floor() * (math.pi / 2), math.pi * uniform[:, 4]
        )
        cosine, sine = angle.cos().abs(), angle.sin().abs()
        reach = torch.maximum((long * cosine + short * sine) / width, (long * sine + short * cosine) / height)
        long, short = (length / reach.clamp(min=1) for length in (long, short))
        along, across = rotated(height, width, angle)
        kernel = (long[:, None, None] / 2 + 0.5 - along.abs()).clamp(0, 1)
        kernel = kernel * (short[:, None, None] / 2 + 0.5 - across.abs()).clamp(0, 1)
        return normalized(balanced(kernel)[:, None])


class MixedKernels(Generator):
    """Each kernel from one of several generators: the training set of the prior `kernel`.

    Args:
        parts: (weight, generator) each; None: 30 % hand shake, 20 % smooth motion of every intensity, 15 % lines and
            arcs and 6 % boxes, most of them through a lens (`ThroughLens`); 17 % Gaussian; 12 % defocus, half of it
            of an imperfect lens, stretched and soft.
    """

    def __init__(self, parts: Sequence[tuple[float, Generator]] | None = None):
        self.parts = tuple(parts or _usual())

    def sample(self, seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
        choice, _ = uniform_and_normal([seed ^ 0x5EED for seed in seeds], 1, 0)
        edges = torch.tensor([weight for weight, _ in self.parts]).cumsum(0)
        number = torch.bucketize(choice[:, 0] * edges[-1], edges[:-1], right=True)
        out = torch.empty(len(seeds), 1, *shape[-2:])
        for place, (_, part) in enumerate(self.parts):
            index = (number == place).nonzero()[:, 0].tolist()
            if index:
                out[index] = part.sample([seeds[i] for i in index], shape)
        return out


def _usual() -> tuple[tuple[float, Generator], ...]:
    """The default parts of `MixedKernels`."""
    return (
        (0.30, ThroughLens(ShakeKernels(), defocused=0.12)),
        (0.20, ThroughLens(MotionKernels((0.0, 1.0)), defocused=0.12)),
        (0.15, ThroughLens(LineKernels(), sharp=0.4, defocused=0.12)),
        (0.06, ThroughLens(BoxKernels(), sharp=0.5)),
        (0.17, GaussianKernels()),
        (0.06, DefocusKernels()),
        (0.06, DefocusKernels(anisotropy=(1.0, 1.25), edge=(1.0, 3.0))),
    )
