"""Generators of parameters whose entries are independent numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ipt.core.errors import IptError
from ipt.core.operator import Generator


class UniformNumbers(Generator):
    """Independent entries, uniform in an interval, of any shape.

    Args:
        low: lower end of the interval, in the parameter's unit.
        high: upper end of the interval, above `low`.
    """

    def __init__(self, low: float = 0.0, high: float = 1.0):
        if not -math.inf < low < high < math.inf:
            raise IptError(f"uniform numbers need low < high, both finite, not low={low}, high={high}")
        self.low, self.high = float(low), float(high)

    def sample(self, seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
        return self.low + (self.high - self.low) * _uniform(seeds, shape).float()


class NormalNumbers(Generator):
    """Independent entries of a normal distribution, truncated to an interval, of any shape.

    Args:
        mean: mean before the truncation, in the parameter's unit.
        std: standard deviation before the truncation, above 0.
        low: lower end of the interval.
        high: upper end of the interval, above `low`.
    """

    def __init__(self, mean: float = 0.0, std: float = 1.0, low: float = -math.inf, high: float = math.inf):
        if not (math.isfinite(mean) and 0 < std < math.inf):
            raise IptError(f"normal numbers need a finite mean and a std above 0, not mean={mean}, std={std}")
        if not low < high:
            raise IptError(f"normal numbers need low < high, not low={low}, high={high}")
        self.mean, self.std, self.low, self.high = float(mean), float(std), float(low), float(high)

    def sample(self, seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
        ends = torch.tensor([self.low, self.high], dtype=torch.float64)
        # An interval above the mean is mirrored, because the distribution function rounds to 1 there.
        sign = -1.0 if self.low > self.mean else 1.0
        near, far = torch.special.erfc(sign * (self.mean - ends) / (math.sqrt(2) * self.std)) / 2
        drawn = torch.special.ndtri(near + (far - near) * _uniform(seeds, shape))
        values: Tensor = self.mean + sign * self.std * drawn
        return values.clamp(self.low, self.high).float()


def _uniform(seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
    """Uniform numbers strictly between 0 and 1, one draw for each seed, (B, *shape) float64."""
    made = [
        torch.rand(shape, generator=torch.Generator().manual_seed(int(seed)), dtype=torch.float64) for seed in seeds
    ]
    return torch.stack(made).clamp(1e-12, 1 - 1e-12)
