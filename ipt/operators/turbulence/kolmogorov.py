"""Random tilt fields with the covariance of `ipt.linalg.tilts.KolmogorovTilt`.

The tilt of every layer is a gradient, and so is the field: a wave of frequency f has its tilt along f. With
y = pi f D, D the aperture in pixels, the two components together have the variance

    p(y) d^2 y,    p(y) = c / y int_0^inf (x + y)^(-11/3) x^2 j(x)^2 dx,    j(x) = 2 J_1(x) / x

which is the path integral of `ipt.linalg.tilts` with t = y / (x + y). It rises like y^(-5/3) towards 0, so that a third
of the variance or more belongs to waves longer than the frame, which no Fourier grid contains. The field is therefore
the sum of two parts:

    slow   plane waves at the nodes of a quadrature in polar coordinates, a finer form of the subharmonics of Lane,
           Glindemann, Dainty, "Simulation of a Kolmogorov phase screen", Waves in Random Media 2, 1992
    fast   waves from an FFT on a frame that is padded by its longer side, within which their covariance dies off
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, lru_cache

import torch
from torch import Tensor

from ipt.linalg.tilts import KolmogorovTilt
from ipt.operators.draws import uniform_and_normal

_RADII, _ANGLES = 16, 32
"""Number of radii and of angles in the quadrature of the slow waves."""
_SLOW, _FAST = 1.0, 5.0
"""Cycles in the grid's longer side below which a wave is slow, and above which it is fast; in between it is partly
both."""
_CHUNK = 2**21
"""Random numbers that are drawn together."""


def draw_kolmogorov(field: KolmogorovTilt, seeds: Sequence[int], frame: tuple[int, int]) -> Tensor:
    """A field for each seed, (B, 2, H, W) float32, in pixels."""
    size = padded(frame)
    count = 2 * _RADII * _ANGLES
    numbers = count + 2 * size[0] * size[1]
    step = max(1, _CHUNK // numbers)
    drawn = []
    for start in range(0, len(seeds), step):
        _, normal = uniform_and_normal(seeds[start : start + step], 0, numbers)
        slow = _slow(field, normal[:, :count].reshape(-1, 2, _RADII * _ANGLES), frame)
        noise = torch.fft.rfft2(normal[:, count:].reshape(-1, 2, *size))
        coloured = torch.einsum("ijhw,bjhw->bihw", _root(field, size).to(noise), noise)
        drawn.append(slow + torch.fft.irfft2(coloured, s=size)[..., : frame[0], : frame[1]])
    return torch.cat(drawn)


def padded(frame: tuple[int, int]) -> tuple[int, int]:
    """The sides of the fast waves' periodic grid, on which opposite edges of the frame are a longer side apart."""
    return frame[0] + max(frame), frame[1] + max(frame)


def _slow(field: KolmogorovTilt, normal: Tensor, frame: tuple[int, int]) -> Tensor:
    """The sum of the slow waves, (B, 2, H, W), given standard normal amplitudes of cosines and sines, (B, 2, waves)."""
    rows, columns, deviation = _waves(field, max(frame))
    down = torch.polar(torch.ones(()), 2 * math.pi * torch.outer(torch.arange(frame[0]), rows))
    right = torch.polar(torch.ones(()), 2 * math.pi * torch.outer(torch.arange(frame[1]), columns))
    length = torch.hypot(rows, columns)
    along = torch.stack([rows, columns]) / length * deviation
    amplitude = torch.complex(normal[:, 0], -normal[:, 1])[:, None] * along
    return torch.einsum("hk,bik,wk->bihw", down, amplitude, right).real


@lru_cache(maxsize=16)
def _waves(field: KolmogorovTilt, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """The slow waves of a frame with that longer side, (waves,) each.

    Returns:
        Vertical and horizontal frequencies in cycles per pixel, and standard deviations of the amplitudes.
    """
    top = _FAST / (2 * side)
    # The substitution f = top v^3 removes the singularity of f^(-5/3) f df at 0.
    nodes = (torch.arange(_RADII, dtype=torch.float64) + 0.5) / _RADII
    radius = (top * nodes**3)[:, None]
    angle = math.pi * (torch.arange(_ANGLES, dtype=torch.float64) + 0.5) / _ANGLES
    # f and -f are the same wave, so the angles cover half a turn with twice the weight.
    cell = radius * 3 * top * (nodes**2)[:, None] / _RADII * 2 * math.pi / _ANGLES
    variance = (cell * _density(field, radius) * (1 - _share(radius, 2 * side))).expand(_RADII, _ANGLES)
    parts = radius * angle.sin(), radius * angle.cos(), variance.sqrt()
    return parts[0].flatten().float(), parts[1].flatten().float(), parts[2].flatten().float()


@lru_cache(maxsize=16)
def _root(field: KolmogorovTilt, size: tuple[int, int]) -> Tensor:
    """The square root of the fast waves' spectrum, (2, 2, P, Q // 2 + 1), which turns white noise into them."""
    rows = torch.fft.fftfreq(size[0], dtype=torch.float64)[:, None]
    columns = torch.fft.rfftfreq(size[1], dtype=torch.float64)
    total = torch.zeros(3, size[0], len(columns), dtype=torch.float64)
    # Frequencies above half a cycle per pixel are aliased into the spectrum.
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            radius = torch.hypot(rows + down, columns + right).clamp(min=1e-9)
            power = _density(field, radius) * _share(radius, max(size))
            vertical, horizontal = (rows + down) / radius, (columns + right) / radius
            total += power * torch.stack([vertical**2, horizontal**2, vertical * horizontal])
    vertical, horizontal, mixed = total
    # The root of a symmetric 2x2 matrix M is (M + sqrt(det M)) / sqrt(trace M + 2 sqrt(det M)).
    inner = (vertical * horizontal - mixed**2).clamp(min=0).sqrt()
    norm: Tensor = (vertical + horizontal + 2 * inner).sqrt().clamp(min=1e-30)
    upper = torch.stack([vertical + inner, mixed])
    return (torch.stack([upper, torch.stack([mixed, horizontal + inner])]) / norm).float()


def _share(radius: Tensor, side: int) -> Tensor:
    """Share of a wave's variance that is fast, 0..1, by its frequency in cycles per pixel, on a grid of that side."""
    place = ((side * radius - _SLOW) / (_FAST - _SLOW)).clamp(1e-6, 1 - 1e-6)
    rise, fall = (-1 / place).exp(), (-1 / (1 - place)).exp()
    return rise / (rise + fall)


def _density(field: KolmogorovTilt, radius: Tensor) -> Tensor:
    """Variance of both components together per unit area of frequency, at `radius` cycles per pixel."""
    unit = math.pi / field.pixel
    start, step, table = _table()
    place = ((unit * radius).log() - start) / step
    below = place.floor().long().clamp(0, len(table) - 2)
    # Beyond both ends of the table p is a power of y, so log p is extrapolated linearly.
    return 2 * field.strength**2 * unit**2 * torch.lerp(table[below], table[below + 1], place - below).exp()


@cache
def _table() -> tuple[float, float, Tensor]:
    """Start, step and table of log p by log y, for a field of variance 1."""
    start, step, count = math.log(1e-5), 0.02, 950
    y = (start + step * torch.arange(count, dtype=torch.float64)).exp()
    # Quadrature in log x, from where x is negligible beside y to where j(x)^2 is negligible.
    logs = torch.arange(math.log(1e-8), math.log(1e3), 0.01, dtype=torch.float64)
    x = logs.exp()
    weight = 0.01 * x * (2 * torch.special.bessel_j1(x)) ** 2
    density = (x + y[:, None]).pow(-11 / 3) @ weight / y
    # int p 2 pi y dy = 1: with int_0^inf (x + y)^(-11/3) dy = (3 / 8) x^(-8/3).
    total = 2 * math.pi * 3 / 8 * (weight * x ** (-8 / 3)).sum()
    return start, step, (density / total).log()
