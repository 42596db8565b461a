"""The kernel of short exposures by what is left of their spectrum, before any picture is known.

The power of a picture falls like f^-s with frequency f, s about 2; that of an exposure falls besides by the squared
transfer function of aperture and air, which two numbers tell (`ipt.linalg.point_spreads`), and stops at the noise:

    P(f) = a f^-s |H(f; D/r0, cutoff)|^2 + noise

Warping hardly changes a spectrum averaged over directions. Of all D/r0, cutoffs and slopes on a grid, each counts as it
is likely; a is fitted to the lowest frequencies. A kernel that is too wide makes up texture, one that is too narrow
leaves a picture blurred: of what is likely, that kernel is taken whose inverse is wrong by least.

References:
    Burton, Moorhead, "Color and spatial structure in natural scenes", Applied Optics 26, 1987 (f^-s).
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.linalg.point_spreads import odd, point_spread, transfer

_BANDS = 24
_LOWEST = 0.03
"""Cycles a pixel, from which on bands are looked at."""
_AMPLITUDE = 6
"""The lowest bands, to which the amplitude is fitted."""
_RATIOS, _CUTOFFS, _SLOPES = (0.3, 8.0, 25), (0.2, 0.6, 9), (1.4, 4.0, 14)
"""Lowest, highest and number of D/r0 and of cutoffs in cycles a pixel, evenly in their logarithms, and of slopes."""
_LEAST = 1e-3
"""Of a band's power, what is taken for the picture's at least."""
_SLOPE, _SPREAD = 2.1, 0.5
"""Mean and standard deviation of s. These and the next two: docs/method.md, Constants."""
_RATIO, _FACTOR = 2.0, 0.5
"""The usual D/r0, and the standard deviation of its logarithm."""
_DEVIATION = 0.6
"""Standard deviation of the logarithm of a band of a picture about its power law, twice what it is: bands next to each
other deviate together."""
_NEGLIGIBLE = 1e-3
_NOTHING = 1e-12


def estimate_kernel(exposures: Tensor, noise: float, sides: tuple[int, int], shares: Tensor | None = None) -> Tensor:
    """The kernel that exposures of one scene have in common.

    Args:
        exposures: (F, C, H, W) in 0..1.
        noise: its standard deviation.
        sides: of the kernel.
        shares: how much each exposure counts, (F,); None: all alike.

    Returns:
        (1, h, w), non-negative, its sum 1.
    """
    each = torch.ones(len(exposures)) if shares is None else shares.detach().cpu()
    frequency, power, count = _radial(exposures.detach().cpu().double().mean(1), (each / each.sum()).double())
    level = noise**2 / exposures.shape[1]
    axes = [torch.logspace(math.log10(low), math.log10(high), n) for low, high, n in (_RATIOS, _CUTOFFS)]
    grid = torch.meshgrid(*axes, torch.linspace(*_SLOPES), indexing="ij")
    ratio, cutoff, slope = (one.double().flatten() for one in grid)
    # Of tiny pictures a cutoff may lie below the lowest bands.
    seen = transfer(frequency, ratio[:, None], cutoff[:, None]).square().clamp(min=_NOTHING)
    shape = frequency ** -slope[:, None] * seen
    # Of a picture with little in it even low bands are mostly noise: these say nothing of its amplitude.
    share = (1 - level / power).clamp(min=_LEAST)[:_AMPLITUDE]
    lowest = (share * power[:_AMPLITUDE]).log() - shape[:, :_AMPLITUDE].log()
    counts = share.square()
    model = (lowest @ counts / counts.sum()).exp()[:, None] * shape + level
    misfit = (power.log() - model.log()).square() / (_DEVIATION**2 + 1 / count)
    usual = ((slope - _SLOPE) / _SPREAD).square() + ((ratio / _RATIO).log() / _FACTOR).square()
    score = -0.5 * (misfit.sum(1) + usual)
    weight = (score - score.max()).exp()
    likely = weight > _NEGLIGIBLE
    size = odd(sides)
    kernels = point_spread(ratio[likely], cutoff[likely], size).clamp(min=0)
    kernels = kernels / kernels.sum((-2, -1), keepdim=True)
    best = _least_loss(kernels, weight[likely] / weight[likely].sum())
    return F.pad(best, (sides[1] - size[1], 0, sides[0] - size[0], 0))[None].to(exposures)


def _least_loss(kernels: Tensor, weights: Tensor) -> Tensor:
    """Of kernels (K, h, w) that are symmetric, each likely by its weight: whose inverse is wrong by least, (h, w).

    With transfer functions H, of all G the least of E (1 - G H)^2 has E[H] / E[H^2].
    """
    height, width = kernels.shape[-2:]
    size = (2 * height, 2 * width)
    seen = torch.fft.rfft2(kernels, s=size).abs()
    mean, square = (torch.tensordot(weights, one, 1) for one in (seen, seen.square()))
    kernel: Tensor = torch.fft.irfft2(square / mean.clamp(min=_NOTHING), s=size)
    kernel = kernel.roll((height // 2, width // 2), (0, 1))[:height, :width].clamp(min=0)
    return kernel / kernel.sum()


def _radial(pictures: Tensor, shares: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of pictures (F, H, W), weighed: the middles of bands, their mean power, and how many coefficients each has."""
    height, width = pictures.shape[-2:]
    window = torch.outer(*(torch.hann_window(side, periodic=False, dtype=torch.float64) for side in (height, width)))
    mean = (pictures * window).sum((-2, -1), keepdim=True) / window.sum()
    power = torch.fft.rfft2((pictures - mean) * window).abs().square() / window.square().sum()
    power = torch.tensordot(shares, power, 1)
    rows = torch.fft.fftfreq(height, dtype=torch.float64)[:, None]
    frequency = torch.hypot(rows, torch.fft.rfftfreq(width, dtype=torch.float64))
    edges = torch.linspace(_LOWEST, 0.5, _BANDS + 1, dtype=torch.float64)
    inside = [(frequency >= low) & (frequency < high) for low, high in pairwise(edges)]
    held = [number for number, band in enumerate(inside) if band.any()]
    means = torch.stack([power[inside[number]].mean() for number in held]).clamp(min=1e-12)
    counts = torch.tensor([float(inside[number].sum()) for number in held], dtype=torch.float64)
    return ((edges[:-1] + edges[1:]) / 2)[held], means, counts
