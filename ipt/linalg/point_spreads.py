"""Point spread functions of an aperture behind Kolmogorov turbulence, as transfer functions and sampled on pixels.

With nu the spatial frequency over the aperture's cutoff D / lambda, the transfer function is the aperture's times the
turbulence's (Fried, "Optical resolution through a randomly inhomogeneous medium for very long and very short
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
    """The transfer function of aperture, air and square pixels, averaged over directions, 0..1.

    Args:
        frequency: spatial frequency in cycles per pixel; this and the next two broadcast.
        ratio: D / r0.
        cutoff: highest frequency that the aperture transmits, in cycles per pixel.
        short: whether the exposure is short.
    """
    # A square pixel's sinc(f cos) sinc(f sin) is within 1 % of this up to half a cycle a pixel.
    return optical_transfer(frequency, ratio, cutoff, short) * torch.exp(-((math.pi * frequency) ** 2) / 6)


def optical_transfer(frequency: Tensor, ratio: Tensor, cutoff: Tensor, short: bool = True) -> Tensor:
    """The transfer function of aperture and air alone; arguments as of `transfer`."""
    nu = (frequency / cutoff).clamp(max=1)
    aperture = 2 / math.pi * (nu.acos() - nu * (1 - nu.square()).sqrt())
    without_tilt = 1 - nu ** (1 / 3) if short else 1.0
    return aperture * torch.exp(-3.44 * ratio ** (5 / 3) * nu ** (5 / 3) * without_tilt)


def point_spread(ratio: Tensor, cutoff: Tensor, sides: tuple[int, int], short: bool = True) -> Tensor:
    """The point spread function on pixels, with their aperture, (B, h, w) float64: the share of light on each pixel.

    Args:
        ratio: D / r0, (B,).
        cutoff: highest frequency that the aperture transmits, in cycles per pixel, (B,).
        sides: (h, w), odd; the centre pixel is the middle one.
        short: whether the exposure is short.
    """
    ratio, cutoff = ratio.double()[:, None, None], cutoff.double()[:, None, None]
    # Sampled as finely as the apertures resolve, on a grid wide enough that little wraps around its edges.
    finer = max(1, math.ceil(2 * float(cutoff.max())))
    size = [4 * side * finer for side in sides]
    rows = torch.fft.fftfreq(size[0], 1 / finer, dtype=torch.float64)[:, None]
    columns = torch.fft.rfftfreq(size[1], 1 / finer, dtype=torch.float64)
    seen = optical_transfer(torch.hypot(rows, columns), ratio, cutoff, short)
    spread: Tensor = torch.fft.irfft2(seen * torch.sinc(rows) * torch.sinc(columns), s=size)
    spread = finer**2 * spread[:, ::finer, ::finer]
    return spread.roll((sides[0] // 2, sides[1] // 2), dims=(-2, -1))[:, : sides[0], : sides[1]]


def odd(sides: tuple[int, ...]) -> tuple[int, int]:
    """The largest odd (height, width) within these sides, so that the window is symmetric about its centre pixel."""
    height, width = sides[-2:]
    return height - 1 + height % 2, width - 1 + width % 2
