"""A denoiser's root mean square error by noise level, as measured on held-out examples."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ErrorCurve:
    """Root mean square errors by noise level, interpolated log-log between the measured levels.

    Attributes:
        levels: logarithms of the measured levels, rising; empty: none was measured.
        errors: logarithms of the errors at these levels.
    """

    levels: Sequence[float]
    errors: Sequence[float]

    @classmethod
    def measured(cls, pairs: Iterable[tuple[float, float]]) -> ErrorCurve:
        """From pairs of a noise level and the mean squared error at it, levels rising."""
        logs = [(math.log(sigma), 0.5 * math.log(error)) for sigma, error in pairs if sigma > 0 and error > 0]
        return cls([level for level, _ in logs], [error for _, error in logs])

    def __call__(self, sigma: float) -> float:
        """The error at a noise level.

        Below the measured levels it is in proportion to the level, above them constant. Where none was measured it is
        that of a Gaussian variable of standard deviation .5.
        """
        if not self.levels:
            return sigma * 0.5 / math.hypot(sigma, 0.5)
        level = math.log(sigma)
        if level <= self.levels[0]:
            return math.exp(self.errors[0] + level - self.levels[0])
        if level >= self.levels[-1]:
            return math.exp(self.errors[-1])
        above = bisect_right(self.levels, level)
        (low, high), (first, last) = self.levels[above - 1 : above + 1], self.errors[above - 1 : above + 1]
        return math.exp(first + (level - low) / (high - low) * (last - first))
