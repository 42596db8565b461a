"""The window of a kernel at each size of a picture that is solved from coarse to fine."""

from __future__ import annotations

import math

NARROWEST = 12
"""Least side in pixels of a window for which a smaller image is solved: docs/method.md, Constants."""

WIDEST = 128
"""Most pixels of the side of a window that is doubled with the picture: the shipped prior of kernels takes no more."""

WIDE = 16
"""Extent in pixels from which a blur hides the detail finer than a pixel: docs/method.md, Large pictures."""


def usual_sides(frame: tuple[int, int], most: int) -> tuple[int, int]:
    """Height and width of the window in a frame (height, width): a quarter of its smaller side, at most `most`."""
    smaller = min(frame)
    side = min(most, smaller, 8 * math.ceil(smaller / 4 / 8))
    return side, side


def half_sides(sides: tuple[int, int], frame: tuple[int, int]) -> tuple[int, int]:
    """The window in a `frame` of half the sides: half of it, rounded up to a multiple of 8."""
    height, width = (min(8 * math.ceil(side / 16), length) for side, length in zip(sides, frame, strict=True))
    return height, width


def margin(frame: tuple[int, int], sides: tuple[int, int]) -> int:
    """Pixels around a frame (height, width) that hold the kernel's reach at its size and at coarser ones.

    In the smaller images with which a solve begins, frame and margin are halved.
    """
    (height, width), margin, scale = frame, 0, 1
    while True:
        margin = max(margin, scale * (max(sides) // 2))
        if min(sides) < 2 * NARROWEST - 1:
            return -(-margin // scale) * scale
        height, width, scale = -(-height // 2), -(-width // 2), 2 * scale
        sides = half_sides(sides, (height, width))


def in_words(sides: tuple[int, int]) -> str:
    """Height and width in pixels as messages say them: width first, as of pictures."""
    return f"{sides[1]} x {sides[0]} px"
