"""The normalization of a network that takes pictures of some sizes, as they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ipt.core.errors import IptError
from ipt.linalg.normalization import Normalization


@dataclass(frozen=True)
class PictureSizes:
    """What a network takes, and how its variable is related to the quantity: physical = offset + scale * normalized.

    Attributes:
        name: what messages call the network.
        channels: of a picture.
        sizes: (height, width) it was trained on, empty for any.
        multiple: heights and widths are multiples of this many pixels.
        scale: the default is that of an image in 0..1.
        offset: likewise.
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
        """Of a quantity (C, H, W); IptError: the network does not take it."""
        channels, height, width = shape
        if channels != self.channels:
            raise IptError(
                f"{self.name} takes {self.channels} channel{'s' * (self.channels != 1)}, and this has {channels}: "
                f"choose another prior, or convert the picture"
            )
        if self.sizes:
            fits = (height, width) in self.sizes
            takes = " or ".join(f"{high}x{wide}" for high, wide in self.sizes)
        else:
            fits = not (height % self.multiple or width % self.multiple)
            takes = f"heights and widths that are multiples of {self.multiple}"
        if not fits:
            raise IptError(
                f"{self.name} takes {takes}, not {height}x{width}: choose fit=resize, fit=tile or another prior"
            )
        return Normalization((channels, height, width), (channels, height, width), self.scale, self.offset)


def squares(sides: Sequence[int] | int | None) -> tuple[tuple[int, int], ...]:
    """The sizes of squares of these sides; a single number is one."""
    if sides is None:
        return ()
    return tuple((side, side) for side in ((sides,) if isinstance(sides, int) else sides))
