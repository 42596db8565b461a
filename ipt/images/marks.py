"""Marks that a pointer draws on a picture: brush strokes for a mask, and a rectangle for a region."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

Point = tuple[float, float]


@dataclass
class Marks:
    """The marks on a picture, in its pixels.

    Attributes:
        size: (width, height) of the picture.
        strokes: points of each brush stroke, (x, y).
        corners: two opposite corners of the region; empty: there is none.
    """

    size: tuple[int, int]
    strokes: list[list[Point]] = field(default_factory=list)
    corners: list[Point] = field(default_factory=list)

    def draw(self, tool: str, point: Point, begin: bool) -> None:
        """Draw with a tool, "mask" or "region"; begin: whether the pointer was just pressed, and not moved."""
        if tool == "mask":
            self.strokes += [[]] if begin or not self.strokes else []
            self.strokes[-1].append(point)
        else:
            self.corners = [point if begin or not self.corners else self.corners[0], point]

    def clear(self) -> str:
        """Remove all marks, and return the `svg` without marks."""
        self.strokes, self.corners = [], []
        return ""

    @property
    def brush(self) -> int:
        """The diameter of the brush, in pixels."""
        return max(3, round(0.04 * max(self.size)))

    @property
    def region(self) -> tuple[int, int, int, int] | None:
        """(x, y, width, height) of the region, within the picture; None: there is none."""
        if not self.corners:
            return None
        inside = [[min(max(round(corner[axis]), 0), self.size[axis]) for corner in self.corners] for axis in (0, 1)]
        (left, right), (top, bottom) = map(sorted, inside)
        return (left, top, right - left, bottom - top) if right > left and bottom > top else None

    def mask(self) -> np.ndarray | None:
        """The mask, bool (H, W), False under the strokes; None if there are no strokes."""
        drawn = Image.new("1", self.size, 1)
        for stroke in self.strokes:
            ImageDraw.Draw(drawn).line([stroke[0], *stroke], fill=0, width=self.brush, joint="curve")
            for x, y in stroke:
                ImageDraw.Draw(drawn).circle((x, y), self.brush / 2, fill=0)
        return np.asarray(drawn) if self.strokes else None

    def svg(self, scale: float) -> str:
        """The marks as SVG elements, for a picture that is shown at a scale."""
        lines = [" ".join(f"{scale * x:.1f},{scale * y:.1f}" for x, y in [one[0], *one]) for one in self.strokes]
        found = "".join(f'<polyline stroke-width="{scale * self.brush:.1f}" points="{line}"/>' for line in lines)
        sides = zip(("x", "y", "width", "height"), self.region or (), strict=False)
        box = " ".join(f'{name}="{scale * value:.1f}"' for name, value in sides)
        return f"{found}<rect {box}/>" if box else found
