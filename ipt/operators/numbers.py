"""Generators of parameters whose entries are independent numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ipt.core.errors import IptError
from ipt.core.operator import Generator


class UniformNumbers(Generator):
    """Every entry uniform in an interval, independent of the others, of any shape.

    Args:
        low: of the interval, in the parameter's unit.
        high: of it, above `low`.
    """

    def __init__(self, low: float = 0.0, high: float = 1.0):
        if not -math.inf < low < high < math.inf:
            raise IptError(f"uniform numbers need low < high, both finite, not low={low}, high={high}")
        self.low, self.high = float(low), float(high)

    def sample(self, seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
        return self.low + (self.high - self.low) * _uniform(seeds, shape).float()


class NormalNumbers(Generator):
    """Every entry normal, cut to an interval where one is given, independent of the others, of any shape.

    Args:
        mean: before it is cut, in the parameter's unit.
        std: standard deviation, likewise, above 0.
        low: the least value.
        high: the largest, above `low`.
    """

    def __init__(self, mean: float = 0.0, std: float = 1.0, low: float = -math.inf, high: float = math.inf):
        if not (math.isfinite(mean) and 0 < std < math.inf):
            raise IptError(f"normal numbers need a finite mean and a std above 0, not mean={mean}, std={std}")
        if not low < high:
            raise IptError(f"normal numbers need low < high, not low={low}, high={high}")
        self.mean, self.std, self.low, self.high = float(mean), float(std), float(low), float(high)

    def sample(self, seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
        ends = torch.tensor([self.low, self.high], dtype=torch.float64)
        # Above the mean by symmetry: there the distribution function rounds to 1.
        sign = -1.0 if self.low > self.mean else 1.0
        near, far = torch.special.erfc(sign * (self.mean - ends) / (math.sqrt(2) * self.std)) / 2
        drawn = torch.special.ndtri(near + (far - near) * _uniform(seeds, shape))
        values: Tensor = self.mean + sign * self.std * drawn
        return values.clamp(self.low, self.high).float()


def _uniform(seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
    """Numbers between 0 and 1, without either, (B, *shape) float64; a draw depends on its own seed alone."""
    made = [
        torch.rand(shape, generator=torch.Generator().manual_seed(int(seed)), dtype=torch.float64) for seed in seeds
    ]
    return torch.stack(made).clamp(1e-12, 1 - 1e-12)
