"""The affine map between a prior's normalized variable and the physical quantity it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Normalization:
    """physical = offset + scale * normalized, on the central window of the normalized variable.

    A network of fixed size may diffuse a larger variable than the quantity. The quantity is then the central window,
    with the centre pixel (H // 2, W // 2) of both in the same place. What surrounds the window is unknown too, or 0 as
    around a kernel. An image in 0..1 has scale and offset .5.
    """

    shape: tuple[int, ...]  # (C, H, W) of the normalized variable, the space that is diffused (about -1..1)
    physical_shape: tuple[int, ...]  # (C, H, W) of the quantity, nowhere larger
    scale: float = 1.0
    offset: float = 0.0
    zero_outside: bool = False  # whether what lies around the window is physically 0

    def __post_init__(self) -> None:
        if len(self.shape) != len(self.physical_shape) or any(inner > outer for _, inner, outer in self._extents()):
            raise ValueError(f"a quantity of {self.physical_shape} is larger than its variable of {self.shape}")

    def physical(self, normalized: Tensor) -> Tensor:
        """(B, *shape) -> (B, *physical_shape)."""
        return self.offset + self.scale * self.window(normalized)

    def normalized(self, physical: Tensor, around: Tensor | None = None) -> Tensor:
        """(B, *physical_shape) -> (B, *shape).

        Args:
            physical: The quantity, (B, *physical_shape).
            around: The variable (B, *shape) from which the surroundings are taken; None: they are physically 0.
        """
        if self.shape == self.physical_shape:
            return (physical - self.offset) / self.scale
        if around is None or self.zero_outside:
            return (embedded(physical, self.shape) - self.offset) / self.scale
        inner = embedded((physical - self.offset) / self.scale, self.shape)
        return around - embedded(self.window(around), self.shape) + inner

    def window(self, whole: Tensor) -> Tensor:
        """The central window, (B, *shape) -> (B, *physical_shape), in unchanged units."""
        return whole[(slice(None), *(slice(start, start + inner) for start, inner, _ in self._extents()))]

    def _extents(self) -> list[tuple[int, int, int]]:
        """For each axis: the start of the window, its length, and the length of the variable."""
        sizes = zip(self.shape, self.physical_shape, strict=True)
        return [(outer // 2 - inner // 2, inner, outer) for outer, inner in sizes]


def embedded(inner: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A window (B, c, h, w) in the middle of zeros, (B, *shape)."""
    from torch.nn.functional import pad

    pads: list[int] = []
    for outer, side in zip(reversed(shape), reversed(inner.shape[1:]), strict=True):
        start = outer // 2 - side // 2
        pads += [start, outer - start - side]
    return pad(inner, pads)
