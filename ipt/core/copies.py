"""Several independent unknowns of one kind as one: the kernels, or the tilts, of several exposures."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ipt.core.charts import Chart
from ipt.core.errors import IptError
from ipt.core.interfaces import Estimate, Prior, Spread


@dataclass(frozen=True)
class Copies(Prior):
    """`count` unknowns (C, H, W), one after the other as (count * C, H, W), each seen by the prior alone; the network
    is called once for all of them."""

    prior: Prior
    count: int

    def chart(self, physical_shape: tuple[int, ...]) -> Chart:
        channels, *sides = physical_shape
        if channels % self.count:
            raise IptError(f"{channels} channels are not {self.count} unknowns of one kind")
        one = self.prior.chart((channels // self.count, *sides))
        return Chart(self._together(one.shape), self._together(one.physical_shape), one.scale, one.offset)

    def denoise(self, noisy: Tensor, sigma: float) -> Tensor:
        return self.prior.denoise(self._apart(noisy), sigma).reshape(noisy.shape)

    def estimate(self, noisy: Tensor, sigma: float) -> Estimate:
        found = self.prior.estimate(self._apart(noisy), sigma)
        mix = found.variance_mix
        return Estimate(found.clean.reshape(noisy.shape), None if mix is None else mix.reshape(noisy.shape))

    def uncertainty(self, sigma: float) -> float:
        return self.prior.uncertainty(sigma)

    def spread(self, noisy: Tensor, sigma: float) -> Spread | None:
        return self._stacked(self.prior.spread(self._apart(noisy), sigma), noisy)

    def prior_spread(self, noisy: Tensor, sigma: float) -> Spread | None:
        return self._stacked(self.prior.prior_spread(self._apart(noisy), sigma), noisy)

    def _stacked(self, one: Spread | None, noisy: Tensor) -> Spread | None:
        if one is None:
            return None
        return Spread(
            lambda v: one.forward(self._apart(v)).reshape(noisy.shape),
            lambda u: one.transposed(self._apart(u)).reshape(noisy.shape),
        )

    def _apart(self, tensor: Tensor) -> Tensor:
        batch, channels, *sides = tensor.shape
        return tensor.reshape(batch * self.count, channels // self.count, *sides)

    def _together(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.count * shape[0], *shape[1:]
