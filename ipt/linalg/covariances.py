"""Covariances of an unknown as linear maps: they are applied, and never written down as matrices."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


class Covariance(ABC):
    """A covariance C = L L' of the entries of an image, on tensors (B, C, H, W), image by image."""

    @property
    @abstractmethod
    def variance(self) -> Tensor:
        """Mean variance of an entry, (B, 1, 1, 1) or any shape that broadcasts."""

    @abstractmethod
    def root(self, white: Tensor) -> Tensor:
        """L v. Of independent standard normal numbers v it is a draw from the Gaussian with this covariance."""

    @abstractmethod
    def root_transposed(self, vector: Tensor) -> Tensor:
        """L' u."""

    @abstractmethod
    def solve(self, vector: Tensor) -> Tensor:
        """C^-1 v."""

    @abstractmethod
    def scaled(self, factor: float) -> Covariance:
        """factor^2 C, the covariance of the variable times a factor."""

    def origin(self, like: Tensor) -> Tensor:
        """Zeros of the shape that `root` takes, for a variable (B, C, H, W)."""
        return like.new_zeros(like.shape)

    def apply(self, vector: Tensor) -> Tensor:
        """C v."""
        return self.root(self.root_transposed(vector))


class Isotropic(Covariance):
    """Independent entries with one variance for each image, (B, 1, 1, 1)."""

    def __init__(self, variance: Tensor):
        self._variance = variance

    @classmethod
    def like(cls, tensor: Tensor, deviation: float) -> Isotropic:
        """The covariance of tensors like this one, (B, ...), whose entries have this standard deviation."""
        return cls(tensor.new_full((len(tensor), *[1] * (tensor.ndim - 1)), deviation**2))

    @classmethod
    def behind(cls, noisy: Tensor, sigma: float, deviation: float = 0.5) -> Isotropic:
        """The posterior covariance of a Gaussian variable of this standard deviation, given it with noise sigma."""
        return cls.like(noisy, sigma * deviation / math.hypot(sigma, deviation))

    @property
    def variance(self) -> Tensor:
        return self._variance

    def root(self, white: Tensor) -> Tensor:
        return self._variance.sqrt() * white

    def root_transposed(self, vector: Tensor) -> Tensor:
        return self.root(vector)

    def solve(self, vector: Tensor) -> Tensor:
        return vector / self._variance

    def scaled(self, factor: float) -> Isotropic:
        return Isotropic(factor**2 * self._variance)


class Rearranged(Covariance):
    """The covariance of the same entries in another arrangement; made by `rearranged`."""

    def __init__(
        self,
        inner: Covariance,
        inward: Callable[[Tensor], Tensor],
        outward: Callable[[Tensor], Tensor],
        variance: Tensor,
    ):
        self._inner, self._inward, self._outward, self._variance = inner, inward, outward, variance

    @property
    def variance(self) -> Tensor:
        return self._variance

    def origin(self, like: Tensor) -> Tensor:
        return self._outward(self._inner.origin(self._inward(like)))

    def root(self, white: Tensor) -> Tensor:
        return self._outward(self._inner.root(self._inward(white)))

    def root_transposed(self, vector: Tensor) -> Tensor:
        return self._outward(self._inner.root_transposed(self._inward(vector)))

    def solve(self, vector: Tensor) -> Tensor:
        return self._outward(self._inner.solve(self._inward(vector)))

    def scaled(self, factor: float) -> Rearranged:
        return Rearranged(self._inner.scaled(factor), self._inward, self._outward, factor**2 * self._variance)


def rearranged(
    inner: Covariance, inward: Callable[[Tensor], Tensor], outward: Callable[[Tensor], Tensor], variance: Tensor
) -> Covariance:
    """The covariance of the same entries in another arrangement.

    Args:
        inner: the covariance in its own arrangement.
        inward: map from this arrangement to the inner one, a permutation of entries.
        outward: the inverse of `inward`.
        variance: mean variance of an entry in this arrangement, (B, 1, 1, 1) or any shape that broadcasts.
    """
    return Isotropic(variance) if isinstance(inner, Isotropic) else Rearranged(inner, inward, outward, variance)


class Diagonalized(Covariance):
    """C = gain^2 T' diag(power) T with an orthonormal transform T. L maps coefficients to entries.

    Args:
        power: variance of each coefficient, above 0, (B, C, H, W) or any shape that broadcasts.
        forward: T, from entries to coefficients.
        inverse: T', from coefficients to entries.
        variance: mean variance of an entry, (B, 1, 1, 1); None: gain^2 times the mean of `power`.
        gain: factor of the variable.
    """

    def __init__(
        self,
        power: Tensor,
        forward: Callable[[Tensor], Tensor],
        inverse: Callable[[Tensor], Tensor],
        variance: Tensor | None = None,
        gain: float = 1.0,
    ):
        self.power, self.forward, self.inverse, self.gain = power, forward, inverse, gain
        self._variance = gain**2 * power.mean((1, 2, 3), keepdim=True) if variance is None else variance

    @property
    def variance(self) -> Tensor:
        return self._variance

    def root(self, white: Tensor) -> Tensor:
        return self.inverse((self.gain**2 * self.power).sqrt() * white)

    def root_transposed(self, vector: Tensor) -> Tensor:
        return (self.gain**2 * self.power).sqrt() * self.forward(vector)

    def solve(self, vector: Tensor) -> Tensor:
        return self.inverse(self.forward(vector) / (self.gain**2 * self.power))

    def scaled(self, factor: float) -> Diagonalized:
        variance = factor**2 * self._variance
        return Diagonalized(self.power, self.forward, self.inverse, variance, abs(factor) * self.gain)
