"""Pictures of kernels, residuals and standard deviations, and sheets of several pictures, for people to look at.

All are uint8 arrays, (H, W) grey or (H, W, 3) colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

KERNEL_SIDE = 256
"""Least side of a kernel's picture, in pixels."""
MOST_FRAMES = 12
"""The most frames of a series that are shown."""
# A colour map from black through violet and orange to pale yellow, of even lightness steps, also for the colour-blind.
_COLOURS = np.array(
    [[4, 4, 14], [58, 20, 104], [136, 38, 118], [208, 66, 84], [246, 132, 62], [252, 206, 112], [252, 252, 214]]
)


def kernel_picture(kernel: Tensor) -> np.ndarray:
    """Draw a kernel (1, H, W), its largest value white, 0 and less black, each entry as a square of pixels.

    Raises:
        ValueError: Another shape.
    """
    values = _array(kernel)
    if values.ndim != 3 or len(values) != 1:
        raise ValueError(f"a kernel is (1, height, width), not {values.shape}")
    largest = values.max()
    grey: np.ndarray = np.rint(255 * np.clip(values[0] / (largest if largest > 0 else 1), 0, 1)).astype(np.uint8)
    zoom = -(-KERNEL_SIDE // min(grey.shape))
    return grey.repeat(zoom, 0).repeat(zoom, 1)


def screen_picture(pixels: Tensor, side: int = 1200) -> Image.Image:
    """An RGB image of pixels (1 or 3, H, W) in 0..1, reduced to at most `side` pixels on the longer side."""
    values = np.rint(255 * np.clip(_array(pixels).transpose(1, 2, 0), 0, 1)).astype(np.uint8)
    image = Image.fromarray(np.broadcast_to(values, (*values.shape[:2], 3)).copy())
    image.thumbnail((side, side))
    return image


def reddened(image: Image.Image, mask: Image.Image) -> Image.Image:
    """A picture tinted red where a mask is dark, and paler elsewhere."""
    pale = Image.blend(image.convert("RGB"), Image.new("RGB", image.size, (255, 255, 255)), 0.35)
    red = Image.blend(image.convert("RGB"), Image.new("RGB", image.size, (224, 36, 60)), 0.75)
    return Image.composite(pale, red, mask.convert("L").resize(image.size))


def residual_picture(residual: Tensor, noise: float, reach: float = 4.0) -> np.ndarray:
    """Draw a residual: 0 is middle grey, +-`reach` times the noise level are white and black.

    On this fixed scale the residual of a good solve is even grain; edges in it are not explained by the solution.

    Args:
        residual: (C, H, W); the first channel is drawn, or the first three if there are as many.
        noise: The noise level, in the residual's unit.
        reach: Multiple of the noise level that is black or white.

    Returns:
        uint8 (H, W) or (H, W, 3).

    Raises:
        ValueError: Another shape, or a noise level that is not above 0.
    """
    values = _array(residual)
    if values.ndim != 3 or not noise > 0:
        raise ValueError(
            f"a residual is (channels, height, width) with a noise level above 0, not {values.shape}, {noise}"
        )
    shown = values[: 1 if len(values) < 3 else 3]
    grey = [np.rint(127.5 + 127.5 * np.clip(one / (reach * noise), -1, 1)).astype(np.uint8) for one in shown]
    return grey[0] if len(grey) == 1 else np.stack(grey, axis=-1)


def spread_picture(spread: Tensor, top: float | None = None) -> np.ndarray:
    """Draw the standard deviation of samples, averaged over channels, dark where it is small.

    Args:
        spread: The standard deviation, (C, H, W).
        top: The value of the palest colour, in the same unit; None: the largest value.

    Returns:
        uint8 (H, W, 3).
    """
    values = _array(spread).mean(0)
    limit = float(values.max()) if top is None else top
    return coloured(values / (limit if limit > 0 else 1))


def coloured(shares: np.ndarray) -> np.ndarray:
    """Colours of numbers, which are clipped to 0..1, uint8 (..., 3), dark for 0 and pale for 1."""
    place = np.clip(shares, 0, 1) * (len(_COLOURS) - 1)
    below = np.minimum(place.astype(int), len(_COLOURS) - 2)
    part = (place - below)[..., None]
    colours: np.ndarray = np.rint(_COLOURS[below] * (1 - part) + _COLOURS[below + 1] * part).astype(np.uint8)
    return colours


def sheet_of_frames(pictures: Sequence[np.ndarray], cell: int = 256, across: int = 4) -> np.ndarray:
    """A sheet of the first `MOST_FRAMES` frames, numbered, `across` in a row, each fitted into `cell` pixels."""
    cells = [Cell(picture, f"frame {number}") for number, picture in enumerate(pictures[:MOST_FRAMES], 1)]
    return contact_sheet([cells[start : start + across] for start in range(0, len(cells), across)], cell)


@dataclass(frozen=True)
class Cell:
    """One picture of a sheet: a tensor (C, H, W) in 0..1 or a uint8 array, and the text below it."""

    picture: Tensor | np.ndarray
    caption: str = ""


def contact_sheet(rows: Sequence[Sequence[Cell]], cell: int = 192) -> np.ndarray:
    """Rows of pictures side by side, (H, W, 3), each fitted into a square of `cell` pixels as by `fitted`.

    Raises:
        ValueError: There is no picture.
    """
    if not rows or not any(rows):
        raise ValueError("a contact sheet needs at least one picture")
    font = ImageFont.load_default(size=12)
    gap, line = 8, 16
    lines = max(len(item.caption.splitlines()) for row in rows for item in row)
    tall, wide = cell + lines * line + gap, cell + gap
    sheet = Image.new("RGB", (max(map(len, rows)) * wide + gap, len(rows) * tall + gap), "white")
    draw = ImageDraw.Draw(sheet)
    for down, row in enumerate(rows):
        for right, item in enumerate(row):
            picture = fitted(Image.fromarray(_bytes(item.picture)).convert("RGB"), cell)
            x, y = gap + right * wide, gap + down * tall
            sheet.paste(picture, (x + (cell - picture.width) // 2, y + (cell - picture.height) // 2))
            draw.multiline_text((x, y + cell + 1), item.caption, fill="black", font=font, spacing=3)
    return np.asarray(sheet)


def fitted(image: Image.Image, side: int) -> Image.Image:
    """Fit a picture into a square of `side` pixels: enlarged by a whole factor, or reduced with smoothing."""
    longest = max(image.size)
    if longest <= side:
        times = side // longest
        return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
    size = tuple(max(1, round(length * side / longest)) for length in image.size)
    return image.resize((size[0], size[1]), Image.Resampling.LANCZOS)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy()


def _bytes(picture: Tensor | np.ndarray) -> np.ndarray:
    if isinstance(picture, np.ndarray):
        return picture
    values = np.rint(255 * np.clip(_array(picture), 0, 1)).astype(np.uint8)
    return values[0] if len(values) == 1 else np.ascontiguousarray(values.transpose(1, 2, 0))
