"""Pictures of parameters: kernels, grids of kernels, and displacement fields as arrows over colour."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ipt.images.grids import kernel_grid_picture
from ipt.images.pictures import coloured, kernel_picture

FIELD_SIDE = 512
"""Least length of the longer side of a field's picture, in pixels."""
_ARROWS = 16
"""Number of arrows along the longer side."""
_SCALE_HEIGHT = 44
"""Height of the scale below a field, in pixels."""
_LONGEST = 1.5
"""Length of the longest arrow over the distance between arrows."""
_SHORTEST = 3
"""Pixels. Shorter arrows are drawn as dots."""


def parameter_picture(value: Tensor, picture: Tensor | None = None) -> np.ndarray | None:
    """Draw a parameter: one channel as a kernel, n * n channels as a grid of kernels, two as a displacement field.

    Args:
        value: The parameter, (C, H, W).
        picture: (C, H, W) in 0..1, over which a grid is drawn; None: black.

    Returns:
        uint8 (H', W') or (H', W', 3); None for other numbers of channels, and for parameters of one row or column.
    """
    if min(value.shape[1:]) == 1:
        return None
    if len(value) == 1:
        return kernel_picture(value)
    if math.isqrt(len(value)) ** 2 == len(value):
        return kernel_grid_picture(value, picture)
    return field_picture(value) if len(value) == 2 else None


def field_picture(field: Tensor) -> np.ndarray:
    """Draw a displacement field as arrows over its length in colour (dark is 0), with a scale below.

    Args:
        field: (2, H, W), vertical then horizontal, in pixels. Arrows point in its direction: for a tilt, to the place
            that a pixel's value came from.

    Returns:
        uint8 (h, w, 3), the longer side of the field at least 512 pixels.

    Raises:
        ValueError: Another shape.
    """
    values = field.detach().cpu().double().numpy()
    if values.ndim != 3 or len(values) != 2:
        raise ValueError(f"a field is (2, height, width), not {values.shape}")
    length = np.hypot(values[0], values[1])
    limit = _rounded_up(float(length.max()))
    zoom = -(-FIELD_SIDE // max(length.shape))
    colours = coloured(length / limit).repeat(zoom, 0).repeat(zoom, 1)
    picture = Image.new("RGB", (colours.shape[1], colours.shape[0] + _SCALE_HEIGHT), "white")
    picture.paste(Image.fromarray(colours), (0, 0))
    draw = ImageDraw.Draw(picture)
    spacing = max(1, -(-max(length.shape) // _ARROWS))
    longest = _LONGEST * spacing * zoom
    for row in range(spacing // 2, length.shape[0], spacing):
        for column in range(spacing // 2, length.shape[1], spacing):
            right_down = values[::-1, row, column] * longest / limit
            _draw_arrow(draw, (column + 0.5) * zoom, (row + 0.5) * zoom, right_down)
    _draw_scale(draw, colours.shape[0], colours.shape[1], limit, longest)
    return np.asarray(picture)


def _draw_arrow(draw: ImageDraw.ImageDraw, x: float, y: float, right_down: np.ndarray) -> None:
    """Draw an arrow (right, down), in pixels of the picture, with its middle at (x, y)."""
    right, down = right_down
    length = float(np.hypot(right, down))
    if length < _SHORTEST:
        draw.ellipse((x - 1, y - 1, x + 1, y + 1), fill="white", outline="black")
        return
    unit_x, unit_y = right_down / length
    tip, tail = (x + right / 2, y + down / 2), (x - right / 2, y - down / 2)
    head = min(9.0, 0.45 * length)
    base = (tip[0] - head * unit_x, tip[1] - head * unit_y)
    wings = [(base[0] + s * 0.45 * head * unit_y, base[1] - s * 0.45 * head * unit_x) for s in (1, -1)]
    # White on black, which is visible on any colour.
    draw.line([tail, base], fill="black", width=4)
    draw.polygon([tip, *wings], fill="white", outline="black", width=1)
    draw.line([tail, base], fill="white", width=2)


def _draw_scale(draw: ImageDraw.ImageDraw, top: int, width: int, limit: float, longest: float) -> None:
    """Draw the colours from 0 to `limit` pixels, and the arrow for `limit`, `longest` pixels long."""
    font = ImageFont.load_default(size=13)
    bar = round(0.45 * width)
    for x in range(bar):
        colour = tuple(int(part) for part in coloured(np.array(x / max(1, bar - 1))))
        draw.line([(8 + x, top + 8), (8 + x, top + 20)], fill=colour)
    draw.text((8, top + 23), "0", fill="black", font=font)
    draw.text((8 + bar, top + 23), f"{limit:g} px", fill="black", font=font, anchor="ra")
    _draw_arrow(draw, 8 + 0.6 * width + longest / 2, top + 14, np.array([longest, 0.0]))
    draw.text((8 + 0.6 * width, top + 23), f"{limit:g} px", fill="black", font=font)


def _rounded_up(value: float) -> float:
    """The next of 1, 1.5, 2, 3, 4, 6, 8 times a power of ten; 1 for 0."""
    if not value > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    steps = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0)
    return next(step * power for step in steps if step * power >= value * (1 - 1e-9))
