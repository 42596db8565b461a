"""Pictures of fields of displacements: arrows over colour, with a scale in pixels."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ipt.images.grids import kernel_grid_picture
from ipt.images.pictures import coloured, kernel_picture

FIELD_SIDE = 512
"""Least length of the longer side, in pixels."""
_ARROWS = 16
"""Arrows along the longer side."""
_SCALE = 44
"""Height of the scale, in pixels."""
_LONGEST = 1.5
"""Length of the longest arrow over the distance to the next."""
_FEWEST = 3
"""Length in pixels below which an arrow is a dot."""


def parameter_picture(value: Tensor, picture: Tensor | None = None) -> np.ndarray | None:
    """A parameter (C, H, W) of one channel as a kernel, of two as a field, of n * n as kernels in their places.

    Args:
        value: The parameter.
        picture: (C, H, W) in 0..1, over which such kernels are drawn; None: over nothing.

    Returns:
        None for others, and for single rows.
    """
    if min(value.shape[1:]) == 1:
        return None
    if len(value) == 1:
        return kernel_picture(value)
    if math.isqrt(len(value)) ** 2 == len(value):
        return kernel_grid_picture(value, picture)
    return field_picture(value) if len(value) == 2 else None


def field_picture(field: Tensor) -> np.ndarray:
    """Draw a field of displacements as arrows over their length in colour, dark where it is 0, with a scale below.

    Args:
        field: (2, H, W), vertical then horizontal, in pixels. Arrows point where it does: for a tilt, to where a
            pixel's value came from.

    Returns:
        uint8 (h, w, 3), the longer side of the field at least 512 pixels.

    Raises:
        ValueError: Another shape.
    """
    values = field.detach().cpu().double().numpy()
    if values.ndim != 3 or len(values) != 2:
        raise ValueError(f"a field is (2, height, width), not {values.shape}")
    length = np.hypot(values[0], values[1])
    top = _round(float(length.max()))
    times = -(-FIELD_SIDE // max(length.shape))
    colours = coloured(length / top).repeat(times, 0).repeat(times, 1)
    picture = Image.new("RGB", (colours.shape[1], colours.shape[0] + _SCALE), "white")
    picture.paste(Image.fromarray(colours), (0, 0))
    draw = ImageDraw.Draw(picture)
    apart = max(1, -(-max(length.shape) // _ARROWS))
    longest = _LONGEST * apart * times
    for row in range(apart // 2, length.shape[0], apart):
        for column in range(apart // 2, length.shape[1], apart):
            reach = values[::-1, row, column] * longest / top
            _arrow(draw, (column + 0.5) * times, (row + 0.5) * times, reach)
    _scale(draw, colours.shape[0], colours.shape[1], top, longest)
    return np.asarray(picture)


def _arrow(draw: ImageDraw.ImageDraw, x: float, y: float, reach: np.ndarray) -> None:
    """Draw an arrow of `reach` (right, down), in pixels of the picture, with its middle at (x, y)."""
    length = float(np.hypot(*reach))
    if length < _FEWEST:
        draw.ellipse((x - 1, y - 1, x + 1, y + 1), fill="white", outline="black")
        return
    across, along = reach / length
    tip, tail = (x + reach[0] / 2, y + reach[1] / 2), (x - reach[0] / 2, y - reach[1] / 2)
    head = min(9.0, 0.45 * length)
    base = (tip[0] - head * across, tip[1] - head * along)
    wings = [(base[0] + s * 0.45 * head * along, base[1] - s * 0.45 * head * across) for s in (1, -1)]
    # Dark below white, so that it shows on any colour.
    draw.line([tail, base], fill="black", width=4)
    draw.polygon([tip, *wings], fill="white", outline="black", width=1)
    draw.line([tail, base], fill="white", width=2)


def _scale(draw: ImageDraw.ImageDraw, top: int, width: int, limit: float, longest: float) -> None:
    """Draw the colours from zero to the limit, and an arrow of that length."""
    font = ImageFont.load_default(size=13)
    bar = round(0.45 * width)
    for x in range(bar):
        colour = tuple(int(part) for part in coloured(np.array(x / max(1, bar - 1))))
        draw.line([(8 + x, top + 8), (8 + x, top + 20)], fill=colour)
    draw.text((8, top + 23), "0", fill="black", font=font)
    draw.text((8 + bar, top + 23), f"{limit:g} px", fill="black", font=font, anchor="ra")
    _arrow(draw, 8 + 0.6 * width + longest / 2, top + 14, np.array([longest, 0.0]))
    draw.text((8 + 0.6 * width, top + 23), f"{limit:g} px", fill="black", font=font)


def _round(value: float) -> float:
    """The next of 1, 1.5, 2, 3, 4, 6, 8 times a power of ten; 1 for nothing."""
    if not value > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    steps = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0)
    return next(step * power for step in steps if step * power >= value * (1 - 1e-9))
