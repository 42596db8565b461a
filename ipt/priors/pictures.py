"""Sizes and normalization of networks that take whole pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ipt.core.errors import IptError, plural
from ipt.linalg.normalization import Normalization


@dataclass(frozen=True)
class PictureSizes:
    """The pictures that a network takes, and their normalization, physical = offset + scale * normalized.

    Attributes:
        name: the network's name in error messages.
        channels: number of channels.
        sizes: (height, width) that it takes; empty: any.
        multiple: heights and widths must be multiples of this many pixels.
        scale: finite and not 0; the default is that of images in 0..1.
        offset: finite; the default is that of images in 0..1.

    Raises:
        IptError: a value out of range.
    """

    name: str
    channels: int
    sizes: Sequence[tuple[int, int]] = ()
    multiple: int = 1
    scale: float = 0.5
    offset: float = 0.5

    def __post_init__(self) -> None:
        if self.scale == 0 or not math.isfinite(self.scale) or not math.isfinite(self.offset):
            raise IptError(f"scale {self.scale:g} and offset {self.offset:g}: set finite ones, scale not 0")
        for size in self.sizes:
            if any(side < 1 or side % self.multiple for side in size):
                raise IptError(f"{self.name} takes multiples of {self.multiple} px, not {size}: set other sizes")

    def normalization(self, shape: tuple[int, ...]) -> Normalization:
        """The normalization of a quantity (C, H, W); IptError where the network does not take it."""
        channels, height, width = shape
        if channels != self.channels:
            raise IptError(
                f"{self.name} takes {plural(self.channels, 'channel')}, and this has {channels}: "
                f"choose another prior, or convert the picture"
            )
        if self.sizes:
            fits = (height, width) in self.sizes
            takes = " or ".join(f"{wide} x {high}" for high, wide in self.sizes)
        else:
            fits = not (height % self.multiple or width % self.multiple)
            takes = f"heights and widths that are multiples of {self.multiple}"
        if not fits:
            raise IptError(
                f"{self.name} takes {takes}, not {width} x {height} px: choose fit=resize, fit=tile or another prior"
            )
        return Normalization((channels, height, width), (channels, height, width), self.scale, self.offset)


def squares(sides: Sequence[int] | int | None) -> tuple[tuple[int, int], ...]:
    """(side, side) for each of these sides, which may be a single number; None: none."""
    if sides is None:
        return ()
    return tuple((side, side) for side in ((sides,) if isinstance(sides, int) else sides))
