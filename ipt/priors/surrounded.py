"""A prior of images that are larger than their frame: a network for the frame, a Gaussian for the surroundings.

A network of fixed size sees the frame alone. The surroundings are Gaussian with the spectrum S of pictures
(`ipt.linalg.spectra`). Their estimate is Wiener's, given the noisy surroundings and the network's estimate D(z) of the
frame with its variance v:

    minimise over x   ||x - z||^2 / sigma^2 outside  +  ||x - D(z)||^2 / v inside  +  x' S^-1 x

It is found by conjugate gradients.

A network of any size also sees half of the margin. It does not see more, because its time grows with the pixels that it
sees, and only the outermost entries of wide kernels reach further. There the estimate is Wiener's in one pass, given
the noisy surroundings and the network's estimate.
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
from ipt.linalg.spectra import SpectralCovariance, from_luma_chroma, picture_error, to_luma_chroma
from ipt.priors.grey import Grey
from ipt.priors.network import NetworkPrior

_ITERATIONS = 6
"""Conjugate gradient iterations for the surroundings."""
_SEEN, _LEAST = 0.5, 8
"""Share of a margin that a network of any size sees, and the least number of pixels."""

Frame = Callable[[tuple[int, ...]], tuple[slice, slice]]
"""`Framed.frame`: from the shape (C, H, W) of an image to the rows and columns of its frame."""


@dataclass(frozen=True)
class Surrounded(Prior, FrameAware):
    """`prior` inside the frame, a Gaussian around it; made by `surrounded`.

    Attributes:
        prior: the prior for the image inside its frame.
        frame: from the shape (C, H, W) of an image to the rows and columns of its frame
            (`ipt.core.abilities.Framed.frame`).
        any_size: whether the prior takes any size, and also sees part of the margins.
    """

    prior: Prior
    frame: Frame
    any_size: bool = False

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
        window = (..., *self._seen(shape))
        inside = self.prior.posterior(noisy[window], sigma)
        if inside.mean.shape == noisy.shape:
            return inside
        variance = inside.covariance.variance.mean((1, 2, 3), keepdim=True)
        scale = abs(self._inner(shape).scale)
        if self.any_size:
            mean = noisy.clone()
            mean[window] = inside.mean
            mean = _smoothed(mean, sigma, scale)
        else:
            mean = _surroundings(noisy, inside.mean, window, sigma, variance, scale).clone()
        mean[window] = inside.mean
        return Posterior(mean, SpectralCovariance(scale * sigma, variance))

    def _seen(self, shape: tuple[int, ...]) -> tuple[slice, slice]:
        """Rows and columns that the prior sees of an image of this shape, (C, H, W)."""
        rows, columns = self.frame(shape)
        if not self.any_size:
            return rows, columns
        return _with_margin(rows, shape[-2]), _with_margin(columns, shape[-1])

    def _inner(self, shape: tuple[int, ...]) -> Normalization:
        """The normalization of the part that the prior sees."""
        rows, columns = self._seen(shape)
        return self.prior.normalization((shape[0], rows.stop - rows.start, columns.stop - columns.start))


def surrounded(prior: Prior, operator: ParametricOperator) -> Prior:
    """The prior, `Surrounded` where the operator's images are larger than their frame.

    An exact prior of images of any size needs no surroundings, and is returned unchanged.
    """
    framed = ability(operator, Framed)
    if framed is None:
        return prior
    any_size = _takes_any_size(prior)
    exact = any_size and not isinstance(prior.prior if isinstance(prior, Grey) else prior, NetworkPrior)
    return prior if exact else Surrounded(prior, framed.frame, any_size)


def _with_margin(frame: slice, length: int) -> slice:
    """Rows or columns of the frame with part of the margin on each side, out of `length` ones."""
    before, after = (min(side, max(_LEAST, round(_SEEN * side))) for side in (frame.start, length - frame.stop))
    return slice(frame.start - before, frame.stop + after)


def _takes_any_size(prior: Prior) -> bool:
    """Whether a prior takes images of any size, asked by two large sizes for which no network is made."""
    for channels in (3, 1):
        try:
            found = [prior.normalization((channels, *sides)) for sides in ((1031, 1037), (1032, 1038))]
        except ValueError:
            continue
        return all(one.shape == one.physical_shape for one in found)
    return False


def _smoothed(image: Tensor, sigma: float, scale: float) -> Tensor:
    """Wiener's estimate of a normalized image, (B, C, H, W), given it with white noise sigma."""
    size = (image.shape[-2], image.shape[-1])
    spectrum = picture_error(size, image.shape[1], float("inf"), image) / scale**2
    gain = spectrum / (spectrum + sigma**2)
    return from_luma_chroma(torch.fft.irfft2(torch.fft.rfft2(to_luma_chroma(image)) * gain, s=size))


def _surroundings(
    noisy: Tensor, inside: Tensor, window: tuple[Any, ...], sigma: float, variance: Tensor, scale: float
) -> Tensor:
    """Wiener's estimate of a whole normalized image, (B, C, H, W), given the prior's estimate of a part.

    Args:
        noisy: the noisy image, (B, C, H, W).
        inside: the prior's estimate of the window.
        window: index of the window in the image.
        sigma: noise level of `noisy`.
        variance: mean variance of the error of `inside`, (B, 1, 1, 1).
        scale: physical over normalized values.
    """
    size = (noisy.shape[-2], noisy.shape[-1])
    spectrum = picture_error(size, noisy.shape[1], float("inf"), noisy) / scale**2
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
