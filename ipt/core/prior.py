"""Prior knowledge about one unknown: a denoiser, and the normalization of the variable that it denoises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipt.core.errors import IptError
from ipt.linalg.covariances import Covariance, Isotropic, rearranged
from ipt.linalg.normalization import Normalization

# Torch is not imported here, so that a plugin whose classes stand beside its hooks does not slow `ipt list` down.
if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Posterior:
    """p(clean | noisy), in normalized units."""

    mean: Tensor  # E[clean | noisy], (B, C, H, W)
    covariance: Covariance  # of clean given noisy
    # Where a network learned the transition's variance: its place between the smallest (0) and the largest (1), on a
    # logarithmic scale (arXiv 2102.09672, equation 15).
    variance_interpolation: Tensor | None = None
    # Covariance of the variable itself, where the prior (given `noisy`, if it is a mixture) is Gaussian of mean 0.
    prior_covariance: Covariance | None = None


class Prior(ABC):
    """A prior of one unknown, whose variable is normalized to about -1..1.

    The noise level sigma is a standard deviation in that space: noisy = clean + sigma * noise.
    """

    differentiable = True  # whether `denoise` is differentiable in `noisy`, as rules such as `dps` require

    @abstractmethod
    def normalization(self, shape: tuple[int, ...]) -> Normalization:
        """The normalization of a quantity (C, H, W); ValueError, naming what it takes, if the prior cannot take it."""

    @abstractmethod
    def denoise(self, noisy: Tensor, sigma: float) -> Tensor:
        """E[clean | noisy], (B, C, H, W), of a normalized variable (B, C, H, W) with noise sigma > 0."""

    def posterior(self, noisy: Tensor, sigma: float) -> Posterior:
        """`denoise`, and how uncertain its result is. Default: as for a Gaussian variable of deviation .5."""
        return Posterior(self.denoise(noisy, sigma), Isotropic.behind(noisy, sigma))


@dataclass(frozen=True)
class Replicated(Prior):
    """A prior of `count` independent unknowns (C, H, W) as one, (count * C, H, W); it sees each of them alone."""

    prior: Prior
    count: int

    def normalization(self, shape: tuple[int, ...]) -> Normalization:
        channels, *sides = shape
        if channels % self.count:
            raise IptError(f"{channels} channels are not {self.count} unknowns of one kind")
        one = self.prior.normalization((channels // self.count, *sides))
        outer, inner = ((self.count * first, *rest) for first, *rest in (one.shape, one.physical_shape))
        return Normalization(outer, inner, one.scale, one.offset, one.zero_outside)

    def denoise(self, noisy: Tensor, sigma: float) -> Tensor:
        return self._together(self.prior.denoise(self._apart(noisy), sigma))

    def posterior(self, noisy: Tensor, sigma: float) -> Posterior:
        each = self.prior.posterior(self._apart(noisy), sigma)
        place, prior = each.variance_interpolation, each.prior_covariance
        return Posterior(
            self._together(each.mean),
            self._covariance(each.covariance, each.mean),
            None if place is None else self._together(place),
            None if prior is None else self._covariance(prior, each.mean),
        )

    def _covariance(self, each: Covariance, like: Tensor) -> Covariance:
        variance = self._together(each.variance.expand(-1, like.shape[1], -1, -1))
        return rearranged(each, self._apart, self._together, variance)

    def _apart(self, tensor: Tensor) -> Tensor:
        return tensor.reshape(-1, tensor.shape[1] // self.count, *tensor.shape[2:])

    def _together(self, tensor: Tensor) -> Tensor:
        return tensor.reshape(-1, tensor.shape[1] * self.count, *tensor.shape[2:])
