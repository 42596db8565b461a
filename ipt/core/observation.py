"""What was measured, and norms over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Observation:
    """A measurement.

    Attributes:
        measurement: (B, C, H, W) in 0..1; 0 where nothing was measured.
        noise: standard deviation of its noise, (B, 1, 1, 1), in the same units.
        mask: 1 where something was measured, 0 elsewhere, (B, 1 or C, H, W); None: everywhere.
    """

    measurement: Tensor
    noise: Tensor
    mask: Tensor | None = None

    def __len__(self) -> int:
        return len(self.measurement)

    @property
    def noise_variance(self) -> Tensor:
        """(B, 1, 1, 1)."""
        return self.noise.square()

    def residual(self, prediction: Tensor) -> Tensor:
        """measurement - prediction, (B, C, H, W); 0 where nothing was measured."""
        rest = self.measurement - prediction
        return rest if self.mask is None else self.mask * rest

    def rms(self, residual: Tensor) -> Tensor:
        """Root mean square of a residual over what was measured, (B,)."""
        if self.mask is None:
            return rms(residual)
        measured = self.mask.expand_as(residual).flatten(1).sum(1)
        return (residual.flatten(1).square().sum(1) / measured).sqrt()


def norm(tensor: Tensor) -> Tensor:
    """Euclidean norm of each image, (B,)."""
    return tensor.flatten(1).norm(dim=1)


def rms(tensor: Tensor) -> Tensor:
    """Root mean square of each image, (B,)."""
    return tensor.flatten(1).square().mean(1).sqrt()
