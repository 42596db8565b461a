"""Pictures of grids of kernels, for blur that varies over the frame: each kernel is drawn in its place."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image
from torch import Tensor

GRID_SIDE = 768
"""Least length of the longer side, in pixels."""
_DIMMED = 0.4
"""Factor on the brightness of the picture behind the kernels."""
_FILLED = 0.94
"""Largest share of a cell's side that its kernel takes."""


def kernel_grid_picture(kernels: Tensor, behind: Tensor | None = None) -> np.ndarray:
    """Draw kernels in the cells of a square grid, the largest value of each white.

    Args:
        kernels: (n * n, h, w), row after row.
        behind: A picture (C, H, W) in 0..1 to draw them over, dimmed; None: black, and square.

    Returns:
        uint8 (H', W', 3), the longer side at least `GRID_SIDE` pixels.

    Raises:
        ValueError: Another shape.
    """
    count = math.isqrt(len(kernels))
    if kernels.ndim != 3 or count * count != len(kernels):
        raise ValueError(f"kernels of a grid are (n * n, height, width), not {tuple(kernels.shape)}")
    canvas = _canvas(behind)
    values = kernels.detach().cpu().double().numpy().clip(min=0)
    rows, columns = ((np.arange(count) + 0.5) * side / count for side in canvas.shape[:2])
    room = _FILLED * min(canvas.shape[:2]) / count
    for number, kernel in enumerate(values):
        grey = np.rint(255 * kernel / max(float(kernel.max()), 1e-12)).astype(np.uint8)
        times = room / max(grey.shape)
        height, width = (max(1, round(times * side)) for side in grey.shape)
        drawn = np.asarray(Image.fromarray(grey).resize((width, height), Image.Resampling.BILINEAR))
        top, left = round(rows[number // count] - height / 2), round(columns[number % count] - width / 2)
        place = canvas[top : top + height, left : left + width]
        np.maximum(place, drawn[: place.shape[0], : place.shape[1], None], out=place)
    return canvas


def _canvas(behind: Tensor | None) -> np.ndarray:
    if behind is None:
        return np.zeros((GRID_SIDE, GRID_SIDE, 3), np.uint8)
    grey = behind.detach().cpu().double().mean(0).clamp(0, 1).numpy()
    image = Image.fromarray(np.rint(255 * _DIMMED * grey).astype(np.uint8))
    times = max(1, -(-GRID_SIDE // max(grey.shape)))
    image = image.resize((image.width * times, image.height * times), Image.Resampling.BICUBIC)
    return np.asarray(image)[:, :, None].repeat(3, 2)
