"""A prior of images of a fixed size, for images that go on around their frame.

What lies around it is Gaussian, with the spectrum of pictures: its estimate is a Wiener filter's, given the noisy
surroundings and the prior's estimate of the frame, both as certain as they are,

    minimise over the surroundings   ||x - z||^2 / sigma^2  outside,  ||x - D(z)||^2 / v  inside  +  x' S^-1 x,

solved by conjugate gradients. The spectrum S: `ipt.linalg.spectra`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ipt.core.abilities import FrameAware, Framed, ability
from ipt.core.errors import IptError
from ipt.core.operator import ParametricOperator
from ipt.core.prior import Posterior, Prior
from ipt.linalg.conjugate_gradients import conjugate_gradients
from ipt.linalg.normalization import Normalization
from ipt.linalg.spectra import SpectralCovariance, frequencies, from_luma_chroma, to_luma_chroma, wiener_error

_ITERATIONS = 6

Frame = Callable[[tuple[int, ...]], tuple[slice, slice]]


@dataclass(frozen=True)
class Surrounded(Prior, FrameAware):
    """`prior` inside the frame, a Gaussian around it; made by `surrounded`.

    Attributes:
        prior: of the image inside its frame.
        frame: from the shape (C, H, W) of an image to the rows and columns of its frame
            (`ipt.core.abilities.Framed.frame`).
    """

    prior: Prior
    frame: Frame

    def within(self, frame: Frame) -> Surrounded:
        return replace(self, frame=frame)

    def normalization(self, shape: tuple[int, ...]) -> Normalization:
        inner = self._inner(shape)
        if inner.shape != inner.physical_shape:
            raise IptError(
                f"a prior that takes {inner.shape} for a frame of {inner.physical_shape} cannot be surrounded"
            )
        return Normalization(tuple(shape), tuple(shape), inner.scale, inner.offset)

    def denoise(self, noisy: Tensor, sigma: float) -> Tensor:
        return self.posterior(noisy, sigma).mean

    def posterior(self, noisy: Tensor, sigma: float) -> Posterior:
        shape = tuple(noisy.shape[1:])
        window = (..., *self.frame(shape))
        inside = self.prior.posterior(noisy[window], sigma)
        variance = inside.covariance.variance.mean((1, 2, 3), keepdim=True)
        scale = abs(self._inner(shape).scale)
        mean = _surroundings(noisy, inside.mean, window, sigma, variance, scale).clone()
        mean[window] = inside.mean
        return Posterior(mean, SpectralCovariance(scale * sigma, variance))

    def _inner(self, shape: tuple[int, ...]) -> Normalization:
        rows, columns = self.frame(shape)
        return self.prior.normalization((shape[0], rows.stop - rows.start, columns.stop - columns.start))


def surrounded(prior: Prior, operator: ParametricOperator) -> Prior:
    """A prior as an operator's images need it.

    Surrounded, if these are larger than their frame and it takes some sizes alone; else itself.
    """
    framed = ability(operator, Framed)
    return prior if framed is None or _takes_any_size(prior) else Surrounded(prior, framed.frame)


def _takes_any_size(prior: Prior) -> bool:
    """By two large sizes that no network has for its own."""
    for channels in (3, 1):
        try:
            found = [prior.normalization((channels, *sides)) for sides in ((1031, 1037), (1032, 1038))]
        except ValueError:
            continue
        return all(one.shape == one.physical_shape for one in found)
    return False


def _surroundings(
    noisy: Tensor, inside: Tensor, window: tuple[Any, ...], sigma: float, variance: Tensor, scale: float
) -> Tensor:
    """The estimate of the whole image (B, C, H, W), normalized; variance: of the error of `inside`, (B, 1, 1, 1)."""
    size = (noisy.shape[-2], noisy.shape[-1])
    spectrum = wiener_error(frequencies(size, noisy), noisy.shape[1], float("inf")) / scale**2
    weight = torch.full_like(noisy[:, :1], 1 / sigma**2)
    weight[window] = 1 / variance
    seen = noisy.clone()
    seen[window] = inside
    average = weight.mean((1, 2, 3), keepdim=True)

    def apply(image: Tensor) -> Tensor:
        prior = torch.fft.irfft2(torch.fft.rfft2(to_luma_chroma(image)) / spectrum, s=size)
        return weight * image + from_luma_chroma(prior)

    def precondition(image: Tensor) -> Tensor:
        gain = 1 / (average + 1 / spectrum)
        return from_luma_chroma(torch.fft.irfft2(torch.fft.rfft2(to_luma_chroma(image)) * gain, s=size))

    right = weight * seen
    return conjugate_gradients(apply, right, precondition(right), _ITERATIONS, precondition)
