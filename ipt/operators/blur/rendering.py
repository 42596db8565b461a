"""Kernels on their grid, from a path or a formula: paths are deposited bilinearly, shapes are sampled.

Kernels are (B, 1, H, W) with the centroid on the centre pixel (H // 2, W // 2).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def extents(low: float, height: int, width: int) -> tuple[float, float]:
    """Default bounds of an extent in pixels: from `low` to the window's smaller side."""
    side = float(min(height, width))
    return min(low, side), side


def scaled(path: Tensor, extent: Tensor) -> Tensor:
    """Paths scaled to a given extent, (B, 2, T).

    The width of a pixel is included in the extent: a path of no length gives a kernel one pixel wide.

    Args:
        path: (B, 2, T).
        extent: larger side of the bounding box in pixels, (B, 1).
    """
    box = path.amax(2) - path.amin(2)
    return path * ((extent - 1) / box.amax(1, keepdim=True))[:, :, None]


def deposited(path: Tensor, fine: int, height: int, width: int) -> Tensor:
    """The kernels of paths, (B, 1, height, width): equal light at all points, sum 1, centroid on the centre pixel.

    Args:
        path: Rows and columns of T points in pixels, (B, 2, T), with any origin.
        fine: Number of equal parts into which the way between two points is divided by further points.
        height: Height of the kernel.
        width: Width of the kernel.
    """
    if fine > 1:
        path = F.interpolate(path, (path.shape[2] - 1) * fine + 1, mode="linear", align_corners=True)
    path = path - path.mean(2, keepdim=True)
    # A lopsided path that is centred on its mass can reach over the edge; it is shrunk so that nothing is lost.
    limit = (min(height, width) - 1) // 2
    path = path * (limit / path.abs().amax((1, 2), keepdim=True).clamp(min=1e-6)).clamp(max=1)
    return normalized(_splat(path, height, width))


def balanced(kernel: Tensor) -> Tensor:
    """Kernels (B, H, W) with 0 in the first row or column of an even side.

    These have no counterpart across the centre pixel, and the light of a wide kernel there would shift its centroid.
    """
    height, width = kernel.shape[-2:]
    mask = torch.ones(height, width)
    if height % 2 == 0:
        mask[0] = 0
    if width % 2 == 0:
        mask[:, 0] = 0
    return kernel * mask


def rotated(height: int, width: int, angle: Tensor) -> tuple[Tensor, Tensor]:
    """Coordinates along and across directions (B,) in radians, (B, H, W) each, in pixels from the centre pixel."""
    rows = (torch.arange(height) - height // 2)[None, :, None]
    columns = (torch.arange(width) - width // 2)[None, None, :]
    cosine, sine = angle.cos()[:, None, None], angle.sin()[:, None, None]
    return columns * cosine + rows * sine, rows * cosine - columns * sine


def normalized(kernel: Tensor) -> Tensor:
    """Kernels (..., H, W) divided by their sums."""
    return kernel / kernel.sum((-2, -1), keepdim=True)


def _splat(path: Tensor, height: int, width: int) -> Tensor:
    """Paths (B, 2, T), in pixels from the centre pixel, deposited bilinearly on a grid (B, 1, H, W)."""
    grid = torch.zeros(len(path), height * width, dtype=path.dtype)
    columns = _neighbours(path[:, 1] + width // 2, width)
    for row, up in _neighbours(path[:, 0] + height // 2, height):
        for column, left in columns:
            grid.scatter_add_(1, row * width + column, up * left)
    return grid.reshape(-1, 1, height, width)


def _neighbours(place: Tensor, side: int) -> list[tuple[Tensor, Tensor]]:
    """The two pixels next to each place on an axis, and the share of its light that falls on each; 0 outside."""
    found = []
    before = place.floor()
    for pixel in (before, before + 1):
        share = (1 - (place - pixel).abs()) * ((pixel >= 0) & (pixel < side))
        found.append((pixel.clamp(0, side - 1).long(), share))
    return found
