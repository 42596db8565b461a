"""A prior of grey images, made from one of colour images."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from ipt.core.errors import IptError
from ipt.core.prior import Posterior, Prior
from ipt.linalg.normalization import Normalization
from ipt.linalg.spectra import SpectralCovariance

_CHANNELS = 3


@dataclass(frozen=True)
class Grey(Prior):
    """A colour prior applied to grey images, whose channels are equal.

    White noise of level s in each of three channels has the level s / sqrt(3) in their mean. So the colour prior gets a
    grey image with noise of level sigma in all channels, with the level sqrt(3) sigma: docs/method.md, Constants.

    Attributes:
        prior: a prior of images with three channels.
    """

    prior: Prior

    def normalization(self, shape: tuple[int, ...]) -> Normalization:
        channels, *sides = shape
        if channels != 1:
            raise IptError(f"a grey image has 1 channel, and this has {channels}")
        colour = self.prior.normalization((_CHANNELS, *sides))
        return Normalization((1, *colour.shape[1:]), (1, *sides), colour.scale, colour.offset)

    def denoise(self, noisy: Tensor, sigma: float) -> Tensor:
        return self.posterior(noisy, sigma).mean

    def posterior(self, noisy: Tensor, sigma: float) -> Posterior:
        colour = self.prior.posterior(noisy.expand(-1, _CHANNELS, -1, -1), math.sqrt(_CHANNELS) * sigma)
        scale = abs(self.normalization((1, *noisy.shape[-2:])).scale)
        variance = colour.covariance.variance.mean(1, keepdim=True)
        covariance = SpectralCovariance(scale * sigma, variance)
        place = colour.variance_interpolation
        return Posterior(
            colour.mean.mean(1, keepdim=True), covariance, None if place is None else place.mean(1, keepdim=True)
        )
