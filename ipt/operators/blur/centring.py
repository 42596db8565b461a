"""Where a kernel's centre is, and kernels of other scales.

A picture and its kernel can be shifted against each other without any change in the blurred picture; by convention a
kernel's centroid is its centre pixel.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

_ROUNDS = 60
_FLAT = 0.03
"""Cycles a pixel up to which pictures have about the same power."""


def off_centre(kernel: Tensor) -> Tensor:
    """How far below and to the right of its centre pixel each kernel's centroid is, in pixels, (B, 2).

    Args:
        kernel: (B, 1, h, w), centre pixel (h // 2, w // 2); of one that is not finite, or zero, the answer is zero.
    """
    height, width = kernel.shape[-2:]
    rows = torch.arange(height, device=kernel.device).to(kernel) - height // 2
    columns = torch.arange(width, device=kernel.device).to(kernel) - width // 2
    moments = torch.stack([(kernel.sum((1, 3)) * rows).sum(1), (kernel.sum((1, 2)) * columns).sum(1)], dim=1)
    mass = kernel.sum((-3, -2, -1))[:, None].clamp(min=1e-8)
    return torch.where(torch.isfinite(mass), moments / mass, 0)


def recentred(kernel: Tensor) -> Tensor:
    """Each kernel (B, 1, h, w) moved by whole pixels until its centroid is nearest the centre pixel.

    What would leave is lost. One that is not finite stays where it is.
    """
    height, width = kernel.shape[-2:]
    made = []
    for one, (dy, dx) in zip(kernel, (-off_centre(kernel)).round().long().tolist(), strict=True):
        if dy or dx:
            one = F.pad(one, (max(dx, 0), max(-dx, 0), max(dy, 0), max(-dy, 0)))
            one = one[:, max(-dy, 0) :, max(-dx, 0) :][:, :height, :width]
        made.append(one)
    return torch.stack(made)


def doubled(kernel: Tensor, sides: tuple[int, int]) -> Tensor:
    """Kernels for pictures of twice the size, bilinear between pixels, the largest entry of each 1.

    Args:
        kernel: (B, C, h, w); its centre pixel stays the centre.
        sides: (height, width) of the new window.
    """
    ways = []
    for length, side in zip(sides, kernel.shape[-2:], strict=True):
        place = (torch.arange(length, device=kernel.device).to(kernel) - length // 2) / 2 + side // 2
        away = (place[:, None] - torch.arange(side, device=kernel.device).to(kernel)).abs()
        ways.append((1 - away).clamp(min=0))
    down, right = ways
    large = down @ kernel @ right.T
    return large / large.amax((-2, -1), keepdim=True).clamp(min=1e-8)


def rescaled(kernel: Tensor, scale: float) -> Tensor:
    """Kernels (B, 1, h, w) of a picture for the same picture scaled by a factor; odd sides, their sums kept.

    Each entry is spread evenly over the pixel that it then is, its distance from the centre pixel times the factor.
    """
    ways = []
    for side in kernel.shape[-2:]:
        parts = 2 * math.ceil(max(1.0, scale)) + 1
        within = (torch.arange(parts).to(kernel) + 0.5) / parts - 0.5
        place = scale * (torch.arange(side).to(kernel)[:, None] - side // 2 + within)
        reach = math.ceil(float(place.abs().max()))
        away = (torch.arange(-reach, reach + 1).to(kernel)[:, None, None] - place).abs()
        ways.append((1 - away).clamp(min=0).mean(-1))
    down, right = (way.to(kernel.device) for way in ways)
    return down @ kernel @ right.T


def moved(pictures: Tensor, shift: Tensor, wrap: bool = False) -> Tensor:
    """Pictures moved by fractions of pixels, through their spectra.

    Args:
        pictures: (B, C, H, W).
        shift: down and right, in pixels, (B, 2).
        wrap: what leaves on one side comes in on the other; else zeros come in, and what leaves is lost.
    """
    height, width = pictures.shape[-2:]
    whole = pictures if wrap else F.pad(pictures, (0, width, 0, height))
    size = (whole.shape[-2], whole.shape[-1])
    rows = torch.fft.fftfreq(size[0], dtype=pictures.dtype, device=pictures.device)[:, None]
    columns = torch.fft.rfftfreq(size[1], dtype=pictures.dtype, device=pictures.device)
    down, right = shift.to(pictures)[:, :, None, None].unbind(1)
    angle = -2 * torch.pi * (down * rows + right * columns)
    turn = torch.polar(torch.ones_like(angle), angle)[:, None]
    made: Tensor = torch.fft.irfft2(torch.fft.rfft2(whole) * turn, s=size)
    return made[..., :height, :width]


def moved_kernel(kernel: Tensor, shift: Tensor) -> Tensor:
    """Kernels moved by fractions of pixels, nowhere negative, their sums kept.

    A thin kernel between pixels has negative lobes about it; cut off, they leave a lattice of positive ones along its
    rows and columns. So this is the non-negative kernel that blurs pictures most nearly as the moved one does:

        minimise  sum_f W(f) |K'(f) - K(f) exp(-2 pi i f shift)|^2,   k' >= 0,   W = 1 / (|f| + f0)^2,

    the power of pictures at frequency f, by accelerated projected gradients.

    Args:
        kernel: (B, 1, h, w), non-negative.
        shift: down and right, in pixels, (B, 2).

    References:
        Beck, Teboulle, "A Fast Iterative Shrinkage-Thresholding Algorithm for Linear Inverse Problems", SIAM Journal on
        Imaging Sciences 2, 2009.
    """
    height, width = kernel.shape[-2:]
    size = (2 * height, 2 * width)
    rows = torch.fft.fftfreq(size[0], dtype=kernel.dtype, device=kernel.device)[:, None]
    columns = torch.fft.rfftfreq(size[1], dtype=kernel.dtype, device=kernel.device)
    weight = (_FLAT / (torch.hypot(rows, columns) + _FLAT)).square()
    target = moved(kernel, shift)
    ahead = found = target.clamp(min=0)
    wanted, pace = torch.fft.rfft2(target, s=size), 1.0
    for _ in range(_ROUNDS):
        slope = torch.fft.irfft2(weight * (torch.fft.rfft2(ahead, s=size) - wanted), s=size)[..., :height, :width]
        nearer, following = (ahead - slope).clamp(min=0), (1 + math.sqrt(1 + 4 * pace * pace)) / 2
        ahead, found, pace = nearer + (pace - 1) / following * (nearer - found), nearer, following
    total = found.sum((-3, -2, -1), keepdim=True)
    return found * (kernel.sum((-3, -2, -1), keepdim=True) / total.clamp(min=1e-12))
