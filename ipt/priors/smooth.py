"""A prior of smooth fields over the picture, such as fog's transmission: Gaussian fields with a correlation length."""

from __future__ import annotations

import math
from dataclasses import replace

from torch import Tensor

from ipt.core.errors import IptError
from ipt.core.prior import Posterior
from ipt.linalg.fields import MaternField
from ipt.linalg.normalization import Normalization
from ipt.priors.fields import FieldPrior, MixtureComponent

_LENGTHS = (4.0, 12.0, 36.0, 108.0)
"""Correlation lengths in pixels of the mixture where none is given, equally likely."""
_SHARES = (0.04, 0.1, 0.25)
"""Standard deviations of the mixture where none is given, as shares of the range."""


class SmoothPrior(FieldPrior):
    """Smooth fields (C, H, W) of any size with independent channels and an exact denoiser: nothing is trained.

    The field is Gaussian with a Matern covariance (`ipt.linalg.fields.MaternField`), about a level that is unknown
    within the range. Values outside the range are unlikely but possible; the `range` of a parameter clips them.

    Args:
        low: lower end of the usual range, in physical units; normalized -1.
        high: upper end of the usual range, above `low`; normalized 1.
        length: correlation length in pixels, or "unknown": 4 to 108, decided by the noisy field.
        std: standard deviation about the level in physical units, or "unknown": .04 to .25 of the range, decided by the
            noisy field.
        iterations: most conjugate gradient iterations for the exact mean on the frame; 0 is faster and less exact.

    Raises:
        IptError: a value out of range.
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
        # A level that is uniform in -1..1 has the variance 1/3.
        fields = [MaternField(each, one, math.sqrt(1 / 3)) for one in lengths for each in deviations]
        super().__init__([MixtureComponent(field, 1.0) for field in fields], iterations)

    def normalization(self, shape: tuple[int, ...]) -> Normalization:
        if len(shape) != 3:
            raise IptError(f"a field is (channels, height, width), not {tuple(shape)}")
        return Normalization(tuple(shape), tuple(shape), (self.high - self.low) / 2, (self.high + self.low) / 2)

    def posterior(self, noisy: Tensor, sigma: float) -> Posterior:
        # The variable is not of mean 0 in physical units, so its own covariance is left out.
        return replace(super().posterior(noisy, sigma), prior_covariance=None)


def _considered(name: str, value: float | str, usual: tuple[float, ...]) -> tuple[float, ...]:
    """The given value alone, or all usual ones where it is "unknown"; IptError where it is no positive number."""
    if value == "unknown":
        return usual
    if isinstance(value, str | bool) or not 0 < value < math.inf:
        raise IptError(f'{name} is a number above 0, or "unknown", not {value!r}')
    return (float(value),)
