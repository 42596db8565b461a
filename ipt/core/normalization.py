"""The affine map between a prior's normalized variable and the physical quantity it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Normalization:
    """physical = offset + scale * normalized, on the central window of the normalized variable.

    Attributes:
        shape: (C, H, W) of the normalized variable, the space that is diffused (about -1..1).
        physical_shape: (C, H, W) of the quantity; never larger than `shape`. A network that takes only some sizes
            diffuses a larger, padded frame, and the quantity is its central window (centre pixel H // 2, W // 2 in
            both).
        scale: physical units per normalized unit; .5 for an image in 0..1.
        offset: the physical value of a normalized zero; .5 for an image in 0..1.
    """

    shape: tuple[int, ...]
    physical_shape: tuple[int, ...]
    scale: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if len(self.shape) != len(self.physical_shape) or any(inner > outer for _, inner, outer in self._extents()):
            raise ValueError(f"a quantity of {self.physical_shape} is larger than its variable of {self.shape}")

    def physical(self, normalized: Tensor) -> Tensor:
        """(B, *shape) -> (B, *physical_shape)."""
        return self.offset + self.scale * normalized[self._window()]

    def normalized(self, physical: Tensor) -> Tensor:
        """(B, *physical_shape) -> (B, *shape); what lies outside the window is physically zero."""
        if self.shape == self.physical_shape:
            return (physical - self.offset) / self.scale
        from torch.nn.functional import pad

        pads: list[int] = []
        for start, inner, outer in reversed(self._extents()):
            pads += [start, outer - start - inner]
        return (pad(physical, pads) - self.offset) / self.scale

    def _extents(self) -> list[tuple[int, int, int]]:
        sizes = zip(self.shape, self.physical_shape, strict=True)
        return [(outer // 2 - inner // 2, inner, outer) for outer, inner in sizes]

    def _window(self) -> tuple[slice, ...]:
        return (slice(None), *(slice(start, start + inner) for start, inner, _ in self._extents()))
