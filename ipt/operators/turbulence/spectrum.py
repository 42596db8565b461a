"""An estimate of the kernel of short exposures from their power spectrum alone.

The power of a picture falls like f^-s with the frequency f, s about 2. That of an exposure is multiplied by the squared
transfer function of aperture and air, which has two parameters (`ipt.linalg.point_spreads`), and levels off at the
noise:

    P(f) = a f^-s |H(f; D/r0, cutoff)|^2 + noise

Warping hardly changes a spectrum that is averaged over directions. The posterior is computed on a grid of D/r0, cutoffs
and slopes s, with a fitted to the lowest frequencies. The estimate is the kernel with the least expected error of its
inverse: too wide a kernel invents texture, too narrow a one leaves the picture blurred.

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
"""Number of frequency bands."""
_LOWEST = 0.03
"""Lower edge of the lowest band, in cycles per pixel."""
_AMPLITUDE = 6
"""Number of the lowest bands, to which the amplitude is fitted."""
_RATIOS, _CUTOFFS, _SLOPES = (0.3, 8.0, 25), (0.2, 0.6, 9), (1.4, 4.0, 14)
"""(lowest, highest, number) of D/r0 and of cutoffs in cycles per pixel, on logarithmic scales, and of slopes."""
_LEAST = 1e-3
"""Least share of a band's power that is attributed to the picture."""
_SLOPE, _SPREAD = 2.1, 0.5
"""Prior mean and standard deviation of s. These and the next two: docs/method.md, Constants."""
_RATIO, _FACTOR = 2.0, 0.5
"""Prior median of D/r0, and standard deviation of its logarithm."""
_DEVIATION = 0.6
"""Standard deviation of the logarithm of a band's power about the power law. It is twice the measured one, because
neighbouring bands deviate together."""
_NEGLIGIBLE = 1e-3
"""Posterior weight, over the largest one, below which a point of the grid is left out."""
_NOTHING = 1e-12


def estimate_kernel(exposures: Tensor, noise: float, sides: tuple[int, int], shares: Tensor | None = None) -> Tensor:
    """The kernel that exposures of one scene have in common.

    Args:
        exposures: (F, C, H, W) in 0..1.
        noise: standard deviation of their noise, in units of 0..1.
        sides: (h, w) of the kernel.
        shares: weights of the exposures, (F,); None: all the same.

    Returns:
        (1, h, w), non-negative, its sum 1.
    """
    each = torch.ones(len(exposures)) if shares is None else shares.detach().cpu()
    frequency, power, count = _radial(exposures.detach().cpu().double().mean(1), (each / each.sum()).double())
    level = noise**2 / exposures.shape[1]
    axes = [torch.logspace(math.log10(low), math.log10(high), n) for low, high, n in (_RATIOS, _CUTOFFS)]
    grid = torch.meshgrid(*axes, torch.linspace(*_SLOPES), indexing="ij")
    ratio, cutoff, slope = (one.double().flatten() for one in grid)
    # In tiny pictures the cutoff may be below the lowest bands, where the transfer function is 0.
    seen = transfer(frequency, ratio[:, None], cutoff[:, None]).square().clamp(min=_NOTHING)
    shape = frequency ** -slope[:, None] * seen
    # In a picture with little detail even low bands are mostly noise, and such bands say little about the amplitude.
    share = (1 - level / power).clamp(min=_LEAST)[:_AMPLITUDE]
    amplitudes = (share * power[:_AMPLITUDE]).log() - shape[:, :_AMPLITUDE].log()
    counts = share.square()
    model = (amplitudes @ counts / counts.sum()).exp()[:, None] * shape + level
    misfit = (power.log() - model.log()).square() / (_DEVIATION**2 + 1 / count)
    prior = ((slope - _SLOPE) / _SPREAD).square() + ((ratio / _RATIO).log() / _FACTOR).square()
    log_posterior = -0.5 * (misfit.sum(1) + prior)
    weight = (log_posterior - log_posterior.max()).exp()
    likely = weight > _NEGLIGIBLE
    size = odd(sides)
    kernels = point_spread(ratio[likely], cutoff[likely], size).clamp(min=0)
    kernels = kernels / kernels.sum((-2, -1), keepdim=True)
    best = _least_loss(kernels, weight[likely] / weight[likely].sum())
    return F.pad(best, (sides[1] - size[1], 0, sides[0] - size[0], 0))[None].to(exposures)


def _least_loss(kernels: Tensor, weights: Tensor) -> Tensor:
    """The kernel (h, w) whose inverse filter has the least expected error.

    With transfer functions H, the inverse filter G that minimises E (1 - G H)^2 is E[H] / E[H^2].

    Args:
        kernels: symmetric kernels, (K, h, w).
        weights: their probabilities, (K,).
    """
    height, width = kernels.shape[-2:]
    size = (2 * height, 2 * width)
    seen = torch.fft.rfft2(kernels, s=size).abs()
    mean, square = (torch.tensordot(weights, one, 1) for one in (seen, seen.square()))
    kernel: Tensor = torch.fft.irfft2(square / mean.clamp(min=_NOTHING), s=size)
    kernel = kernel.roll((height // 2, width // 2), (0, 1))[:height, :width].clamp(min=0)
    return kernel / kernel.sum()


def _radial(pictures: Tensor, shares: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The radially averaged power spectrum of pictures (F, H, W), weighted by their shares (F,).

    Returns:
        For each band that has coefficients: its middle in cycles per pixel, mean power, and number of coefficients.
    """
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
