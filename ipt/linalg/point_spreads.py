"""Point spread functions of an aperture behind Kolmogorov turbulence, as transfer functions and on pixels.

With nu = spatial frequency over the aperture's cutoff D / lambda, the transfer function is that of the aperture times
that of the turbulence (Fried, "Optical resolution through a randomly inhomogeneous medium for very long and very short
exposures", Journal of the Optical Society of America 56, 1966):

    aperture          (2 / pi) (acos nu - nu sqrt(1 - nu^2))
    long exposure     exp(-3.44 (D / r0)^(5/3) nu^(5/3))
    short exposure    exp(-3.44 (D / r0)^(5/3) nu^(5/3) (1 - nu^(1/3)))    the mean tilt of each exposure taken out
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def transfer(frequency: Tensor, ratio: Tensor, cutoff: Tensor, short: bool = True) -> Tensor:
    """The transfer function of aperture, air and square pixels, averaged over directions; all arguments broadcast.

    Args:
        frequency: in cycles a pixel.
        ratio: D / r0.
        cutoff: the highest frequency that the aperture lets through, in cycles a pixel.
        short: whether the exposure is short.
    """
    # A square pixel's sinc(f cos) sinc(f sin) is within 1 % of this up to half a cycle a pixel.
    return optical_transfer(frequency, ratio, cutoff, short) * torch.exp(-((math.pi * frequency) ** 2) / 6)


def optical_transfer(frequency: Tensor, ratio: Tensor, cutoff: Tensor, short: bool = True) -> Tensor:
    """That of aperture and air alone."""
    nu = (frequency / cutoff).clamp(max=1)
    aperture = 2 / math.pi * (nu.acos() - nu * (1 - nu.square()).sqrt())
    left = 1 - nu ** (1 / 3) if short else 1.0
    return aperture * torch.exp(-3.44 * ratio ** (5 / 3) * nu ** (5 / 3) * left)


def point_spread(ratio: Tensor, cutoff: Tensor, sides: tuple[int, int], short: bool = True) -> Tensor:
    """The share of light of every pixel about the middle one, with the pixels' own aperture, (B, h, w) float64.

    Args:
        ratio: D / r0, (B,).
        cutoff: the highest frequency that the aperture lets through, in cycles a pixel, (B,).
        sides: (h, w), odd.
        short: whether the exposure is short.
    """
    ratio, cutoff = ratio.double()[:, None, None], cutoff.double()[:, None, None]
    # As fine as the apertures resolve, and so far that little comes back around the edges.
    finer = max(1, math.ceil(2 * float(cutoff.max())))
    size = [4 * side * finer for side in sides]
    rows = torch.fft.fftfreq(size[0], 1 / finer, dtype=torch.float64)[:, None]
    columns = torch.fft.rfftfreq(size[1], 1 / finer, dtype=torch.float64)
    seen = optical_transfer(torch.hypot(rows, columns), ratio, cutoff, short)
    spread: Tensor = torch.fft.irfft2(seen * torch.sinc(rows) * torch.sinc(columns), s=size)
    spread = finer**2 * spread[:, ::finer, ::finer]
    return spread.roll((sides[0] // 2, sides[1] // 2), dims=(-2, -1))[:, : sides[0], : sides[1]]


def odd(sides: tuple[int, ...]) -> tuple[int, int]:
    """The largest odd sides within these, so that the centre pixel has as many on either side."""
    height, width = sides[-2:]
    return height - 1 + height % 2, width - 1 + width % 2
