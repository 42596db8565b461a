"""Smooth fields over the picture, such as fog's transmission: Gaussian fields with a correlation length, exact."""

from __future__ import annotations

import math
from dataclasses import replace

from torch import Tensor

from ipt.core.errors import IptError
from ipt.core.prior import Posterior
from ipt.linalg.fields import MaternField
from ipt.linalg.normalization import Normalization
from ipt.priors.fields import Component, FieldPrior

_LENGTHS = (4.0, 12.0, 36.0, 108.0)
"""Correlation lengths, in pixels, that are considered where none is given: all alike beforehand."""
_SHARES = (0.04, 0.1, 0.25)
"""Standard deviations, as shares of the range, that are considered where none is given."""


class SmoothPrior(FieldPrior):
    """A smooth field (C, H, W) of any size, its channels independent: nothing is trained.

    The field is Gaussian about a level that is itself unknown within the range, with a Matern covariance
    (`ipt.linalg.fields.MaternField`). Values outside the range are unlikely, not impossible: a parameter with a `range`
    is kept within it.

    Args:
        low: of the range that the values usually are in, in physical units; -1 in normalized ones.
        high: of it, above `low`.
        length: correlation length in pixels, or "unknown": from 4 to 108, which the noisy field itself decides.
        std: standard deviation about the level, in physical units, or "unknown": .04 to .25 of the range, likewise.
        iterations: of conjugate gradients at most, for the exact mean on the frame; 0 is faster and less exact.
    """

    def __init__(
        self,
        low: float = 0.0,
        high: float = 1.0,
        length: float | str = "unknown",
        std: float | str = "unknown",
        iterations: int = 20,
    ):
        if not -math.inf < low < high < math.inf:
            raise IptError(f"a smooth field needs low < high, both finite, not low={low}, high={high}")
        self.low, self.high = float(low), float(high)
        lengths = _considered("length", length, _LENGTHS)
        half = (self.high - self.low) / 2
        deviations = [each / half for each in _considered("std", std, tuple(2 * half * share for share in _SHARES))]
        # A level that is uniform in the range has the variance of a third, normalized.
        fields = [MaternField(each, one, math.sqrt(1 / 3)) for one in lengths for each in deviations]
        super().__init__([Component(field, 1.0) for field in fields], iterations)

    def normalization(self, shape: tuple[int, ...]) -> Normalization:
        if len(shape) != 3:
            raise IptError(f"a field is (channels, height, width), not {tuple(shape)}")
        return Normalization(tuple(shape), tuple(shape), (self.high - self.low) / 2, (self.high + self.low) / 2)

    def posterior(self, noisy: Tensor, sigma: float) -> Posterior:
        # The variable has an offset, so that its own covariance is not handed on.
        return replace(super().posterior(noisy, sigma), prior_covariance=None)


def _considered(name: str, value: float | str, usual: tuple[float, ...]) -> tuple[float, ...]:
    """The value that is given, or all that are considered."""
    if value == "unknown":
        return usual
    if isinstance(value, str | bool) or not 0 < value < math.inf:
        raise IptError(f'{name} is a number above 0, or "unknown", not {value!r}')
    return (float(value),)
