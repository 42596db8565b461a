"""Several independent unknowns of one kind as one: the kernels, or the tilts, of several exposures."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ipt.core.covariance import Covariance, Isotropic, Rearranged
from ipt.core.errors import IptError
from ipt.core.normalization import Normalization
from ipt.core.prior import Posterior, Prior


@dataclass(frozen=True)
class Replicated(Prior):
    """`count` unknowns (C, H, W), one after the other as (count * C, H, W), each seen by the prior alone; the network
    is called once for all of them."""

    prior: Prior
    count: int

    def normalization(self, shape: tuple[int, ...]) -> Normalization:
        channels, *sides = shape
        if channels % self.count:
            raise IptError(f"{channels} channels are not {self.count} unknowns of one kind")
        one = self.prior.normalization((channels // self.count, *sides))
        return Normalization(self._all(one.shape), self._all(one.physical_shape), one.scale, one.offset)

    def denoise(self, noisy: Tensor, sigma: float) -> Tensor:
        return self._together(self.prior.denoise(self._apart(noisy), sigma))

    def posterior(self, noisy: Tensor, sigma: float) -> Posterior:
        each = self.prior.posterior(self._apart(noisy), sigma)
        interpolation = each.variance_interpolation
        channels = noisy.shape[1] // self.count
        return Posterior(
            self._together(each.mean),
            self._covariance(each.covariance, channels),
            None if interpolation is None else self._together(interpolation),
            None if each.prior_covariance is None else self._covariance(each.prior_covariance, channels),
        )

    def _covariance(self, each: Covariance, channels: int) -> Covariance:
        variance = self._together(each.variance.expand(-1, channels, -1, -1))
        if isinstance(each, Isotropic):
            return Isotropic(variance)
        return Rearranged(each, self._apart, self._together, variance)

    def _apart(self, tensor: Tensor) -> Tensor:
        return tensor.reshape(-1, tensor.shape[1] // self.count, *tensor.shape[2:])

    def _together(self, tensor: Tensor) -> Tensor:
        return tensor.reshape(-1, tensor.shape[1] * self.count, *tensor.shape[2:])

    def _all(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.count * shape[0], *shape[1:]
