"""What is known of one unknown before measuring: a denoiser, and the normalization of its variable."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipt.core.errors import IptError
from ipt.linalg.covariances import Covariance, Isotropic, rearranged
from ipt.linalg.normalization import Normalization

# Torch is imported by what computes: a plugin whose classes stand beside its hooks does not slow `ipt list` down.
if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Posterior:
    """p(clean | noisy), in normalized units."""

    mean: Tensor  # E[clean | noisy], (B, C, H, W)
    covariance: Covariance  # of what is still unknown
    # Where a network learns its transition's variance: from the smallest (0) to the largest (1), logarithmically
    # (arXiv 2102.09672, equation 15).
    variance_interpolation: Tensor | None = None
    # Of the variable itself, where the prior is Gaussian about zero without an offset, at least given `noisy`.
    prior_covariance: Covariance | None = None


class Prior(ABC):
    """A prior of one unknown, whose variable is normalized to about -1..1.

    Noise is measured in sigma, its standard deviation in that space: noisy = clean + sigma * noise.
    """

    differentiable = True  # whether `denoise` is, in `noisy`; rules that go through it, such as `dps`, refuse others

    @abstractmethod
    def normalization(self, shape: tuple[int, ...]) -> Normalization:
        """The normalization of a quantity (C, H, W); ValueError, naming what it takes, if the prior takes none such."""

    @abstractmethod
    def denoise(self, noisy: Tensor, sigma: float) -> Tensor:
        """E[clean | noisy], (B, C, H, W), of a normalized variable (B, C, H, W) at sigma > 0."""

    def posterior(self, noisy: Tensor, sigma: float) -> Posterior:
        """`denoise`, and how uncertain its result is (default: as of a Gaussian variable)."""
        return Posterior(self.denoise(noisy, sigma), Isotropic.behind(noisy, sigma))


@dataclass(frozen=True)
class Replicated(Prior):
    """`count` independent unknowns (C, H, W) as one of (count * C, H, W), each seen by the prior alone."""

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
