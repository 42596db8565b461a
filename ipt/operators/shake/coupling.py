"""Coupling of the kernels of neighbouring tiles: all are traces of one camera motion, seen at different places.

A camera that rolls by t moves the image at distance Delta from a place by t J Delta more, J = ((0, 1), (-1, 0)). So the
kernel k_r at a place p_r is a mean over the rolls, and for rolls of standard deviation s

    E K_r(f) K_s(f)* = S(f) exp(-(2 pi s f . J (p_r - p_s))^2 / 2)

about the kernels' mean, which is subtracted. At low frequencies kernels hardly differ; at high ones they may, the more
the further apart they are. The differences that least squares found, each with its own variance, are filtered with this
covariance: a Wiener filter over the tiles (kriging), one frequency at a time. Where the data say little about the
differences, they become 0 and the kernels equal.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ipt.linalg.spectra import frequency_axes

ROLL = math.radians(0.35)
"""Standard deviation of the camera's roll in radians: docs/method.md, Constants."""
_NUGGET = 1e-4
"""Variance of differences between tiles that have other reasons, over that of a kernel."""


def coupled(differences: Tensor, variance: Tensor, power: Tensor, nodes: Tensor) -> Tensor:
    """The most likely differences of kernels from their mean, given estimates of each alone, (B, R, h, w).

    Args:
        differences: each kernel as it was found alone, less the common kernel, (B, R, h, w).
        variance: variance of each one's error by frequency, on a grid of twice the window, (B, R, 2 h, w + 1).
        power: S(f) on the same grid, (B, 1, 2 h, w + 1).
        nodes: row and column of each tile's node in pixels, (R, 2).
    """
    height, width = differences.shape[-2:]
    size = (2 * height, 2 * width)
    rows, columns = frequency_axes(size, differences)
    down, right = (nodes[:, None] - nodes).to(differences).unbind(-1)
    identity = torch.eye(len(nodes), dtype=differences.dtype, device=differences.device)
    without_mean = identity - 1 / len(nodes)
    spectrum = torch.fft.rfft2(differences, s=size)
    found = torch.empty_like(spectrum)
    # A row of frequencies at a time, because each frequency needs an R x R matrix.
    for row, frequency in enumerate(rows[:, 0]):
        phase = 2 * math.pi * ROLL * (frequency * right - columns[:, None, None] * down)
        correlation = (-0.5 * phase.square()).exp() + _NUGGET * identity
        covariance = power[:, :, row].mT[..., None] * (without_mean @ correlation @ without_mean)
        noise = torch.diag_embed(variance[:, :, row].mT)
        observed = torch.view_as_real(spectrum[:, :, row].mT.contiguous())
        filtered = covariance @ torch.linalg.solve(covariance + noise, observed)
        found[:, :, row] = torch.view_as_complex(filtered.contiguous()).mT
    whole: Tensor = torch.fft.irfft2(found, s=size)
    return whole[..., :height, :width]
