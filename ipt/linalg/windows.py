"""The covariance of a quantity that is the central window of a larger variable, as of a kernel in a network's frame."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ipt.linalg.conjugate_gradients import conjugate_gradients
from ipt.linalg.covariances import Covariance, Isotropic
from ipt.linalg.normalization import Normalization, embedded

_ITERATIONS = 200
"""Most conjugate gradient iterations of `Windowed.solve`."""


class Windowed(Covariance):
    """W C W', with C the covariance of a variable and W the cut of its central window.

    Its root W L is not square: it takes as many numbers as the larger variable has entries.

    Args:
        inner: C, the covariance of the larger variable.
        shape: (C, H, W) of the larger variable.
        cut: W, from the larger variable to the window.
        variance: mean variance of an entry in the window.
    """

    def __init__(self, inner: Covariance, shape: tuple[int, ...], cut: Callable[[Tensor], Tensor], variance: Tensor):
        self._inner, self._shape, self._cut, self._variance = inner, shape, cut, variance

    @property
    def variance(self) -> Tensor:
        return self._variance

    def origin(self, like: Tensor) -> Tensor:
        return self._inner.origin(embedded(like, self._shape))

    def root(self, white: Tensor) -> Tensor:
        return self._cut(self._inner.root(white))

    def root_transposed(self, vector: Tensor) -> Tensor:
        return self._inner.root_transposed(embedded(vector, self._shape))

    def solve(self, vector: Tensor) -> Tensor:
        """C^-1 v, by conjugate gradients."""
        count = min(vector[0].numel(), _ITERATIONS)
        return conjugate_gradients(self.apply, vector, torch.zeros_like(vector), count)

    def scaled(self, factor: float) -> Windowed:
        return Windowed(self._inner.scaled(factor), self._shape, self._cut, factor**2 * self._variance)


def windowed(inner: Covariance, normalization: Normalization) -> Covariance:
    """The covariance of a quantity, given that of its normalized variable; in normalized units."""
    if normalization.shape == normalization.physical_shape:
        return inner
    variance = inner.variance
    if variance.shape[1:] == normalization.shape:
        variance = normalization.window(variance)
    if isinstance(inner, Isotropic):
        return Isotropic(variance)
    return Windowed(inner, normalization.shape, normalization.window, variance)
