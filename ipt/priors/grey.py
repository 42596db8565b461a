"""A prior of grey images, made from one of colour images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ipt.core.errors import IptError
from ipt.core.prior import Posterior, Prior
from ipt.linalg.normalization import Normalization
from ipt.linalg.spectra import SpectralCovariance

_CHANNELS = 3


@dataclass(frozen=True)
class Grey(Prior):
    """A colour prior applied to grey images, whose channels are equal.

    White noise of level s in each of three channels has the level s / sqrt(3) in their mean. So the colour prior gets
    the grey image with its noise of level sigma, and noise in chrominance that makes it white of level sqrt(3) sigma in
    each channel: docs/method.md, Constants. The same level has the same noise in chrominance, whatever the image.

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
        level = math.sqrt(_CHANNELS) * sigma
        colour = self.prior.posterior(noisy + level * _chrominance(noisy, level), level)
        scale = abs(self.normalization((1, *noisy.shape[-2:])).scale)
        variance = colour.covariance.variance.mean(1, keepdim=True)
        covariance = SpectralCovariance(scale * sigma, variance)
        place = colour.variance_interpolation
        return Posterior(
            colour.mean.mean(1, keepdim=True), covariance, None if place is None else place.mean(1, keepdim=True)
        )


def _chrominance(like: Tensor, level: float) -> Tensor:
    """White noise of level 1 in three channels, less their mean, (1, 3, H, W); another one for each level."""
    numbers = torch.Generator().manual_seed(round(1e6 * level))
    white = torch.randn(1, _CHANNELS, *like.shape[-2:], generator=numbers)
    return (white - white.mean(1, keepdim=True)).to(like)
