"""The covariance of tilt fields in pixels, vertical then horizontal: of Kolmogorov turbulence, and of random patches.

The model is turbulence of constant strength along a path, seen by an aperture of diameter D at its end. Rays from two
points of the scene at a distance s are s t apart at the fraction t of the path (0 at the aperture), in beams of
diameter D (1 - t). The tilt is the mean gradient of the phase over the aperture, which displaces the image's centroid.
With a spectrum k^(-11/3) of each layer, the covariance of tilts along s (longitudinal, L) and across it (transverse, T)
is

    C(s) = variance (8/3) int_0^1 (1 - t)^(5/3) g(2 s t / (D (1 - t))) dt
    g(a) = int_0^inf x^(-2/3) j(x)^2 [J_0(a x) -+ J_2(a x)] dx / int_0^inf x^(-2/3) j(x)^2 dx,    j(x) = 2 J_1(x) / x

with - for L and + for T (geometrical optics; the spherical-wave weights of Fried, "Differential angle of arrival:
Theory, evaluation, and measurement feasibility", Radio Science 10, 1975, and of Basu, McCrae, Fiorino, "Estimation of
the path-averaged atmospheric refractive index structure constant from time-lapse imagery", Proc. SPIE 9465, 2015). The
variance of either component is .170 (lambda / D)^2 (D / r0)^(5/3) square radians (Tyler, "Bandwidth considerations for
tracking through turbulence", Journal of the Optical Society of America A 11, 1994), r0 for a spherical wave.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from ipt.linalg.fields import StationaryField

TILT_VARIANCE = 0.170
"""Variance of one component of the tilt, in units of (lambda / D)^2 (D / r0)^(5/3)."""


@dataclass(frozen=True)
class KolmogorovTilt(StationaryField):
    """Tilts through Kolmogorov turbulence.

    Attributes:
        strength: root mean square of a component, in pixels.
        pixel: width of a pixel at the scene, in diameters of the aperture.
    """

    strength: float = 1.0
    pixel: float = 0.1

    def covariance(self, rows: Tensor, columns: Tensor) -> Tensor:
        rows, columns = rows.double(), columns.double()
        lag = torch.hypot(rows, columns)
        lengths, which = lag.unique(return_inverse=True)
        along, across = _path_integral(lengths * self.pixel)[:, which]
        down, right = rows / lag.clamp(min=1e-9), columns / lag.clamp(min=1e-9)
        extra = along - across
        mixed = extra * down * right
        vertical = torch.stack([across + extra * down**2, mixed])
        return self.strength**2 * torch.stack([vertical, torch.stack([mixed, across + extra * right**2])])


@dataclass(frozen=True)
class PatchTilt(StationaryField):
    """White noise smoothed by a Gaussian, with independent components.

    Attributes:
        strength: root mean square of a component, in pixels.
        sigma: standard deviation of the Gaussian, in pixels.
    """

    strength: float = 1.0
    sigma: float = 1.0

    def covariance(self, rows: Tensor, columns: Tensor) -> Tensor:
        taps = gaussian_taps(self.sigma)
        correlation = torch.nn.functional.conv1d(taps[None, None], taps[None, None], padding=len(taps) - 1).flatten()
        correlation = torch.cat([correlation[len(taps) - 1 :] / correlation.max(), correlation.new_zeros(1)])
        last = len(correlation) - 1
        shared = correlation[rows.abs().long().clamp(max=last)] * correlation[columns.abs().long().clamp(max=last)]
        none = torch.zeros_like(shared)
        return self.strength**2 * torch.stack([torch.stack([shared, none]), torch.stack([none, shared])])


def gaussian_taps(sigma: float) -> Tensor:
    """A Gaussian filter of a line, cut at three standard deviations, (taps,) float64, sum 1."""
    reach = math.ceil(3 * sigma)
    place = torch.arange(-reach, reach + 1, dtype=torch.float64)
    taps = torch.exp(-0.5 * (place / sigma) ** 2)
    return taps / taps.sum()


_FAR = 10.0
"""The argument a above which g is computed by two terms of its series for large a, with an error below 1e-5."""
_STEP = 0.01
"""Spacing of the table of g below `_FAR`."""
_NODES = 192
"""Nodes of the quadrature along the path."""
_CHUNK = 4096
"""Lags whose path integrals are computed together."""


def _path_integral(lags: Tensor) -> Tensor:
    """C_L and C_T over the variance, (2, lags), at lags (lags,) in diameters of the aperture."""
    # The substitution t = 1 - v^2 puts more nodes near the scene, where g falls fast.
    nodes = (torch.arange(_NODES, dtype=torch.float64) + 0.5) / _NODES
    near = nodes**2
    weight = near ** (5 / 3) * nodes
    found = [
        (_layer_correlation(2 * some[:, None] * (1 - near) / near) * weight).sum(-1) for some in lags.split(_CHUNK)
    ]
    return torch.cat(found, 1) / weight.sum()


def _cubic(table: Tensor, place: Tensor) -> Tensor:
    """Cubic (Lagrange) interpolation of N even functions.

    Linear interpolation would not do: the covariance of a smooth field would lose its positive definiteness.

    Args:
        table: values at 0, 1, 2 ..., (N, entries).
        place: where they are interpolated, from 0 to entries - 3.
    """
    below = place.floor().long()
    t = place - below
    weights = (
        -t * (t - 1) * (t - 2) / 6,
        (t + 1) * (t - 1) * (t - 2) / 2,
        -(t + 1) * t * (t - 2) / 2,
        (t + 1) * t * (t - 1) / 6,
    )
    entries = [table[:, (below + step).abs()] for step in (-1, 0, 1, 2)]
    return torch.stack([weight * entry for weight, entry in zip(weights, entries, strict=True)]).sum(0)


def _layer_correlation(a: Tensor) -> Tensor:
    """The functions g(a) for L and for T, (2, *a.shape)."""
    table, scale = _layer_table()
    near = _cubic(table, (a / _STEP).clamp(max=_FAR / _STEP))
    far = a.clamp(min=_FAR)
    # int x^p J_n(a x) dx = 2^p a^(-p-1) Gamma((1 + n + p) / 2) / Gamma((1 + n - p) / 2), and j(x)^2 = 1 - x^2 / 4 ...
    first = far ** (-1 / 3) * 2 ** (-2 / 3) * math.gamma(1 / 6) / math.gamma(5 / 6)
    second = -0.25 * far ** (-7 / 3) * 2 ** (4 / 3)
    zeroth, other = math.gamma(7 / 6) / math.gamma(-1 / 6), math.gamma(13 / 6) / math.gamma(5 / 6)
    # The ratio of the two Gamma quotients of the first term is 1/5.
    series = torch.stack([0.8 * first + second * (zeroth - other), 1.2 * first + second * (zeroth + other)]) / scale
    return torch.where(a < _FAR, near, series)


@cache
def _layer_table() -> tuple[Tensor, float]:
    """A table of g at a = 0, .01, .02 ... up to `_FAR`, (2, N), and the integral in its denominator."""
    # The substitution x = v^3 removes the singularity x^(-2/3); past x = 60 lies less than 1e-5 of the integral.
    count = 3000
    step = 60 ** (1 / 3) / count
    x = ((torch.arange(count, dtype=torch.float64) + 0.5) * step) ** 3
    weight = 3 * step * (2 * torch.special.bessel_j1(x) / x) ** 2
    total = weight.sum()
    a = torch.arange(round(_FAR / _STEP) + 3, dtype=torch.float64)[:, None] * _STEP
    phase = (a * x).clamp(min=1e-12)
    zeroth = torch.special.bessel_j0(phase)
    second = 2 * torch.special.bessel_j1(phase) / phase - zeroth
    return torch.stack([(zeroth - second) @ weight, (zeroth + second) @ weight]) / total, float(total)
