"""From a path or a formula to a kernel on its grid: paths are deposited bilinearly, shapes are sampled.

Kernels are (B, 1, H, W) with the centroid on the centre pixel (H // 2, W // 2).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def log_uniform(bounds: tuple[float, float], uniform: Tensor) -> Tensor:
    """Uniform numbers in 0..1, drawn log-uniformly within bounds above 0."""
    low, high = bounds
    return low * (high / low) ** uniform


def extents(low: float, height: int, width: int) -> tuple[float, float]:
    """The usual bounds of an extent in pixels: from `low` to the window's smaller side."""
    side = float(min(height, width))
    return min(low, side), side


def scaled(path: Tensor, extent: Tensor) -> Tensor:
    """Paths (B, 2, T), the larger side of the box around each `extent` pixels, (B, 1).

    A pixel's own width counts: a path of no length is a kernel one pixel wide.
    """
    box = path.amax(2) - path.amin(2)
    return path * ((extent - 1) / box.amax(1, keepdim=True))[:, :, None]


def deposited(path: Tensor, fine: int, height: int, width: int) -> Tensor:
    """The kernels of paths (B, 2, T) in pixels, equal light for each of their T points and for those between them.

    Args:
        path: Rows and columns, anywhere: it is centred on its mass.
        fine: Parts of the way between two points, all but the last of which are points as well.
        height: Of the kernel.
        width: Of the kernel.
    """
    if fine > 1:
        path = F.interpolate(path, (path.shape[2] - 1) * fine + 1, mode="linear", align_corners=True)
    path = path - path.mean(2, keepdim=True)
    # Centred on its mass, a lopsided path can reach over the edge: shrink it rather than lose a part of it.
    limit = (min(height, width) - 1) // 2
    path = path * (limit / path.abs().amax((1, 2), keepdim=True).clamp(min=1e-6)).clamp(max=1)
    return normalized(_splat(path, height, width))


def balanced(kernel: Tensor) -> Tensor:
    """(B, H, W) without the first row and column of an even side.

    They have no partner across the centre pixel, and what a wide kernel has there would pull its centroid off.
    """
    height, width = kernel.shape[-2:]
    mask = torch.ones(height, width)
    if height % 2 == 0:
        mask[0] = 0
    if width % 2 == 0:
        mask[:, 0] = 0
    return kernel * mask


def rotated(height: int, width: int, angle: Tensor) -> tuple[Tensor, Tensor]:
    """Coordinates (B, H, W) along and across a direction, in pixels from the centre pixel."""
    rows = (torch.arange(height) - height // 2)[None, :, None]
    columns = (torch.arange(width) - width // 2)[None, None, :]
    cosine, sine = angle.cos()[:, None, None], angle.sin()[:, None, None]
    return columns * cosine + rows * sine, rows * cosine - columns * sine


def normalized(kernel: Tensor) -> Tensor:
    """Kernels of sum 1."""
    return kernel / kernel.sum((-2, -1), keepdim=True)


def _splat(path: Tensor, height: int, width: int) -> Tensor:
    """Deposit a path (B, 2, T), in pixels about the centre, bilinearly on a grid (B, 1, H, W); outside, it is lost."""
    grid = torch.zeros(len(path), height * width, dtype=path.dtype)
    columns = _neighbours(path[:, 1] + width // 2, width)
    for row, up in _neighbours(path[:, 0] + height // 2, height):
        for column, left in columns:
            grid.scatter_add_(1, row * width + column, up * left)
    return grid.reshape(-1, 1, height, width)


def _neighbours(place: Tensor, side: int) -> list[tuple[Tensor, Tensor]]:
    """The two pixels beside each place along an axis, and the share of its light that each has, none outside."""
    found = []
    before = place.floor()
    for pixel in (before, before + 1):
        share = (1 - (place - pixel).abs()) * ((pixel >= 0) & (pixel < side))
        found.append((pixel.clamp(0, side - 1).long(), share))
    return found
