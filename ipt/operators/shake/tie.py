"""What neighbouring kernels know of each other: all are what one camera did, seen from another place.

A camera that turns by t moves what is Delta away from a place by t J Delta more, J = ((0, 1), (-1, 0)). So a kernel
k_r at a place p_r is a mean over the turns, and with turns of deviation s,

    E K_r(f) K_s(f)* = S(f) exp(-(2 pi s f . J (p_r - p_s))^2 / 2),

about what they have in common; less their mean, which that has. Kernels hardly differ at low frequencies, and far away
from each other they may at high ones. The differences that least squares found, each with its own variance, are held to
that: a Wiener filter over the tiles, a frequency at a time. Where little is known of them, the kernels become one.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

ROLL = math.radians(0.35)
"""Deviation of the turns that are believed: docs/method.md, Constants."""
_NUGGET = 1e-4
"""Variance of what differs from tile to tile for other reasons, over that of a kernel."""


def tied(kernels: Tensor, variance: Tensor, power: Tensor, places: Tensor) -> Tensor:
    """Differences of kernels (B, R, h, w) from what they have in common, as their neighbours have them, too.

    Args:
        kernels: what was found of each alone, less what they have in common.
        variance: of each one's error, a frequency of twice the window, (B, R, 2 h, w + 1).
        power: S(f), (B, 1, 2 h, w + 1).
        places: of the tiles, rows and columns in pixels, (R, 2).
    """
    height, width = kernels.shape[-2:]
    size = (2 * height, 2 * width)
    rows = torch.fft.fftfreq(size[0], dtype=kernels.dtype, device=kernels.device)
    columns = torch.fft.rfftfreq(size[1], dtype=kernels.dtype, device=kernels.device)[:, None, None]
    down, right = (places[:, None] - places).to(kernels).unbind(-1)
    own = torch.eye(len(places), dtype=kernels.dtype, device=kernels.device)
    apart = own - 1 / len(places)
    spectrum = torch.fft.rfft2(kernels, s=size)
    found = torch.empty_like(spectrum)
    # A row at a time: all of them would be a matrix of all tiles for every frequency.
    for row, frequency in enumerate(rows):
        likeness = (-0.5 * (2 * math.pi * ROLL * (frequency * right - columns * down)).square()).exp()
        covariance = power[:, :, row].mT[..., None] * (apart @ (likeness + _NUGGET * own) @ apart)
        noise = torch.diag_embed(variance[:, :, row].mT)
        seen = torch.view_as_real(spectrum[:, :, row].mT.contiguous())
        tied_row = covariance @ torch.linalg.solve(covariance + noise, seen)
        found[:, :, row] = torch.view_as_complex(tied_row.contiguous()).mT
    whole: Tensor = torch.fft.irfft2(found, s=size)
    return whole[..., :height, :width]
