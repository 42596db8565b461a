"""Shifting and scaling kernels and pictures.

A picture and its kernel can be shifted against each other without changing the blurred picture. By convention a
kernel's centroid is its centre pixel, (h // 2, w // 2).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.linalg.spectra import frequency_axes

_ROUNDS = 60
"""Iterations of `moved_kernel`."""
_SETTLED = 0.075
"""Noise level of the image, in units of 0..1, below which it no longer follows shifts: docs/method.md, Constants."""
_FLAT = 0.03
"""Frequency f0 in cycles per pixel below which the power of pictures is about constant."""


def off_centre(kernel: Tensor) -> Tensor:
    """Offset of each kernel's centroid from its centre pixel, down and right in pixels, (B, 2).

    Args:
        kernel: (B, C, h, w), of several channels their sum; the offset is 0 where it is 0 or not finite.
    """
    height, width = kernel.shape[-2:]
    rows = torch.arange(height, device=kernel.device).to(kernel) - height // 2
    columns = torch.arange(width, device=kernel.device).to(kernel) - width // 2
    moments = torch.stack([(kernel.sum((1, 3)) * rows).sum(1), (kernel.sum((1, 2)) * columns).sum(1)], dim=1)
    mass = kernel.sum((-3, -2, -1))[:, None].clamp(min=1e-8)
    return torch.where(torch.isfinite(mass), moments / mass, 0)


def recentred(kernel: Tensor, image_sigma: float = math.inf) -> Tensor:
    """Each kernel (B, C, h, w) shifted by whole pixels so that its centroid is nearest to the centre pixel.

    What leaves the window is lost. A kernel that is not finite is not shifted.

    Args:
        kernel: (B, C, h, w).
        image_sigma: noise level of the image, in units of 0..1. At low levels the image cannot follow a shift, so a
            centroid within a pixel of the centre stays; else it might go there and back from step to step.
    """
    (height, width), stays = kernel.shape[-2:], 1.0 if image_sigma < _SETTLED else 0.5
    offsets = off_centre(kernel)
    shifts = torch.where(offsets.abs() > stays, -offsets.round(), 0)
    made = []
    for one, (dy, dx) in zip(kernel, shifts.long().tolist(), strict=True):
        if dy or dx:
            one = F.pad(one, (max(dx, 0), max(-dx, 0), max(dy, 0), max(-dy, 0)))
            one = one[:, max(-dy, 0) :, max(-dx, 0) :][:, :height, :width]
        made.append(one)
    return torch.stack(made)


def doubled(kernel: Tensor, sides: tuple[int, int]) -> Tensor:
    """Kernels for pictures of twice the size, by bilinear interpolation, the largest entry of each 1.

    Args:
        kernel: (B, C, h, w); the centre pixel is mapped to the centre pixel.
        sides: (height, width) of the new window.
    """
    matrices = []
    for length, side in zip(sides, kernel.shape[-2:], strict=True):
        place = (torch.arange(length, device=kernel.device).to(kernel) - length // 2) / 2 + side // 2
        away = (place[:, None] - torch.arange(side, device=kernel.device).to(kernel)).abs()
        matrices.append((1 - away).clamp(min=0))
    down, right = matrices
    large = down @ kernel @ right.T
    return large / large.amax((-2, -1), keepdim=True).clamp(min=1e-8)


def rescaled(kernel: Tensor, scale: float) -> Tensor:
    """Kernels for the same picture scaled by a factor, with the same sums and odd sides.

    Each entry becomes a pixel scaled by the factor, at its distance from the centre pixel times the factor.

    Args:
        kernel: (B, 1, h, w).
        scale: factor of the picture's sides, above 0.
    """
    matrices = []
    for side in kernel.shape[-2:]:
        parts = 2 * math.ceil(max(1.0, scale)) + 1
        within = (torch.arange(parts).to(kernel) + 0.5) / parts - 0.5
        place = scale * (torch.arange(side).to(kernel)[:, None] - side // 2 + within)
        reach = math.ceil(float(place.abs().max()))
        away = (torch.arange(-reach, reach + 1).to(kernel)[:, None, None] - place).abs()
        matrices.append((1 - away).clamp(min=0).mean(-1))
    down, right = (matrix.to(kernel.device) for matrix in matrices)
    return down @ kernel @ right.T


def moved(pictures: Tensor, shift: Tensor, wrap: bool = False) -> Tensor:
    """Pictures shifted by fractions of pixels, in the Fourier domain, (B, C, H, W).

    Args:
        pictures: (B, C, H, W).
        shift: down and right in pixels, (B, 2).
        wrap: whether what leaves on one side comes in on the other; otherwise zeros come in.
    """
    height, width = pictures.shape[-2:]
    whole = pictures if wrap else F.pad(pictures, (0, width, 0, height))
    size = (whole.shape[-2], whole.shape[-1])
    rows, columns = frequency_axes(size, pictures)
    down, right = shift.to(pictures)[:, :, None, None].unbind(1)
    angle = -2 * torch.pi * (down * rows + right * columns)
    phase = torch.polar(torch.ones_like(angle), angle)[:, None]
    shifted: Tensor = torch.fft.irfft2(torch.fft.rfft2(whole) * phase, s=size)
    return shifted[..., :height, :width]


def moved_kernel(kernel: Tensor, shift: Tensor) -> Tensor:
    """Kernels shifted by fractions of pixels, non-negative, with the same sums, (B, 1, h, w).

    Interpolation of a thin kernel has negative lobes, and clipping them would leave a lattice of positive ones along
    its rows and columns. So this is the non-negative kernel k' whose blur of pictures is nearest to the shifted one's:

        minimise  sum_f W(f) |K'(f) - K(f) exp(-2 pi i f shift)|^2,   k' >= 0,

    where W = 1 / (|f| + f0)^2 is the power of pictures, and k' is 0 where the kernel is 0 within a pixel. It is found
    by accelerated projected gradients (FISTA).

    Args:
        kernel: (B, 1, h, w), non-negative.
        shift: down and right in pixels, -1..1, (B, 2).

    References:
        Beck, Teboulle, "A Fast Iterative Shrinkage-Thresholding Algorithm for Linear Inverse Problems", SIAM Journal on
        Imaging Sciences 2, 2009.
    """
    height, width = kernel.shape[-2:]
    size = (2 * height, 2 * width)
    weight = (_FLAT / (torch.hypot(*frequency_axes(size, kernel)) + _FLAT)).square()
    target, near = moved(kernel, shift), F.max_pool2d((kernel > 0).to(kernel), 3, 1, 1)
    spectrum = torch.fft.rfft2(target, s=size)
    extrapolated = found = near * target.clamp(min=0)
    momentum = 1.0
    for _ in range(_ROUNDS):
        error = torch.fft.rfft2(extrapolated, s=size) - spectrum
        gradient = torch.fft.irfft2(weight * error, s=size)[..., :height, :width]
        before, found = found, near * (extrapolated - gradient).clamp(min=0)
        next_momentum = (1 + math.sqrt(1 + 4 * momentum * momentum)) / 2
        extrapolated = found + (momentum - 1) / next_momentum * (found - before)
        momentum = next_momentum
    total = found.sum((-3, -2, -1), keepdim=True)
    return found * (kernel.sum((-3, -2, -1), keepdim=True) / total.clamp(min=1e-12))
