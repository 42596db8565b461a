"""Covariances that are diagonal in a basis."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ipt.core.covariance import Covariance


class Diagonalized(Covariance):
    """C = T' diag(power) T with an orthonormal transform T; `root` takes coefficients, and its transpose gives them.

    Args:
        power: variance of every coefficient, above 0, (B, C, H, W) or any shape that broadcasts.
        forward: T, from tensors to coefficients.
        inverse: T'.
        variance: mean variance of an entry, (B, 1, 1, 1); None: the mean of `power`.
    """

    def __init__(
        self,
        power: Tensor,
        forward: Callable[[Tensor], Tensor],
        inverse: Callable[[Tensor], Tensor],
        variance: Tensor | None = None,
    ):
        self.power, self.forward, self.inverse = power, forward, inverse
        self._variance = power.mean((1, 2, 3), keepdim=True) if variance is None else variance

    @property
    def variance(self) -> Tensor:
        return self._variance

    def root(self, white: Tensor) -> Tensor:
        return self.inverse(self.power.sqrt() * white)

    def root_transposed(self, vector: Tensor) -> Tensor:
        return self.power.sqrt() * self.forward(vector)

    def solve(self, vector: Tensor) -> Tensor:
        return self.inverse(self.forward(vector) / self.power)

    def scaled(self, factor: float) -> Diagonalized:
        return Diagonalized(factor**2 * self.power, self.forward, self.inverse, factor**2 * self._variance)
