"""A generator of smooth fields over the picture, such as fog's transmission."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ipt.core.errors import IptError
from ipt.core.operator import Generator
from ipt.linalg.fields import MaternField, cosines
from ipt.operators.draws import check_positive, interval


class SmoothFields(Generator):
    """Gaussian fields with a correlation length (`ipt.linalg.fields.MaternField`), about a random level.

    Args:
        low: lower end of the range, in physical units; values below are clipped.
        high: upper end of the range, above `low`; values above are clipped.
        length: (shortest, longest) correlation length in pixels, drawn log-uniformly; a single number is both.
        std: standard deviation about the level, as a share of the range.
    """

    def __init__(
        self,
        low: float = 0.0,
        high: float = 1.0,
        length: tuple[float, float] | float = (8.0, 64.0),
        std: float = 0.15,
    ):
        if not low < high:
            raise IptError(f"smooth fields need low < high, not low={low}, high={high}")
        check_positive("std", std, "shares of the range")
        self.low, self.high, self.std = float(low), float(high), float(std)
        self.length = interval("length", length, 0.5, 1e4)

    def sample(self, seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
        return torch.stack([self._one(int(seed), shape) for seed in seeds]).float()

    def _one(self, seed: int, shape: tuple[int, ...]) -> Tensor:
        channels, *frame = shape
        numbers = torch.Generator().manual_seed(seed)
        place, level = torch.rand(2, generator=numbers, dtype=torch.float64).tolist()
        shortest, longest = self.length
        field = MaternField(self.std, shortest * (longest / shortest) ** place)
        # Coefficients in the cosine basis are nearly independent.
        white = torch.randn(channels, *frame, generator=numbers, dtype=torch.float64)
        down, right = (cosines(side) for side in frame)
        deviation = down.T @ (field.cosine_power((frame[0], frame[1])).sqrt() * white) @ right
        # The level keeps the field's standard deviation away from the ends, where the range is wide enough.
        margin = min(self.std, 0.5)
        share = margin + (1 - 2 * margin) * level + deviation
        values: Tensor = self.low + (self.high - self.low) * share.clamp(0, 1)
        return values
