"""The affine map between a prior's normalized variable and the physical quantity it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Normalization:
    """physical = offset + scale * normalized, on the central window of the normalized variable.

    What a network of fixed size diffuses is a padded frame, and the quantity is its central window (centre pixel
    H // 2, W // 2 in both). An image in 0..1 has scale and offset .5.
    """

    shape: tuple[int, ...]  # (C, H, W) of the normalized variable, the space that is diffused (about -1..1)
    physical_shape: tuple[int, ...]  # (C, H, W) of the quantity, nowhere larger
    scale: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if len(self.shape) != len(self.physical_shape) or any(inner > outer for _, inner, outer in self._extents()):
            raise ValueError(f"a quantity of {self.physical_shape} is larger than its variable of {self.shape}")

    def physical(self, normalized: Tensor) -> Tensor:
        """(B, *shape) -> (B, *physical_shape)."""
        window = (slice(start, start + inner) for start, inner, _ in self._extents())
        return self.offset + self.scale * normalized[(slice(None), *window)]

    def normalized(self, physical: Tensor) -> Tensor:
        """(B, *physical_shape) -> (B, *shape); what lies outside the window is physically zero."""
        if self.shape != self.physical_shape:
            from torch.nn.functional import pad

            extents = reversed(self._extents())
            physical = pad(physical, [pad for start, inner, outer in extents for pad in (start, outer - start - inner)])
        return (physical - self.offset) / self.scale

    def _extents(self) -> list[tuple[int, int, int]]:
        """Of each axis where the window starts, its length, and that of the variable."""
        sizes = zip(self.shape, self.physical_shape, strict=True)
        return [(outer // 2 - inner // 2, inner, outer) for outer, inner in sizes]
