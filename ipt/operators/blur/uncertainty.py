"""How uncertain a blurred measurement is, by frequency, given beliefs about the image and the kernel.

The uncertainty of the one counts as noise in the step of the other (`ipt.operators.blur.steps`).

    image   E(f), the Wiener error of the usual picture (`ipt.linalg.spectra`): it falls with frequency, and colour
            channels share most of it, so that a flat weight would be wrong.
    kernel  V(f), and s(u), the entries that may be wrong (`ipt.operators.blur.kernel_error`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.core.abilities import Belief
from ipt.linalg.spectra import picture_error, to_luma_chroma
from ipt.operators.blur.kernel_error import denoised_error, error_variance, radius
from ipt.operators.blur.measured import Measured, squared
from ipt.operators.blur.padded_frame import PaddedFrame

USUAL = 1.4
"""Ratio of the measured to the expected variance up to which the beliefs are not doubted. This and the constants below:
docs/method.md, Constants."""
LEAST_NOISE = 0.0012
"""Smallest standard deviation of the noise, in units of 0..1: rounding to 8 bits, 1 / 255 / sqrt(12)."""
_PINNED = 2
"""Distance in pixels within which measured pixels determine one that was not measured, so that a dead pixel hardly
counts."""
_BANDS = (0.0, 0.04, 0.08, 0.16, 0.32, 1.0)
"""Edges, in cycles per pixel, of the bands in which the measured variance is compared with the expected one."""
_NOISE_ITERATIONS = 4
"""Iterations of expectation maximisation for the noise level of a band."""
DISCOUNT = 16.0
"""Variance of the belief where nothing was measured, over the mean squared change of pictures (`picture_change`)."""


@dataclass(frozen=True)
class Innovation:
    """The measurement that the beliefs predict, and how uncertain the prediction is. Spectra are of the grid (P, Q).

    Attributes:
        picture: spectrum of the image's mean, in luminance and chrominance, (B, C, P, Q // 2 + 1).
        prior_kernel: the kernel's mean, valid, (K, 1, h, w), one for every B / K successive images.
        prior_transfer: spectrum of the kernel's mean, one for every image, (B, 1, P, Q // 2 + 1).
        kernel_variance: V, variance of the kernel's spectrum, (K, 1, P, Q // 2 + 1).
        deviation: s, how far each entry of the kernel may be wrong, 0..1, (K, 1, h, w).
        weight: 1 / noise of the kernel step, (B, C, P, Q // 2 + 1).
        power: weighted power of the images, which is the precision of the data about the kernel,
            (K, 1, P, Q // 2 + 1).
        entries: number of the kernel's entries that may be wrong, the sum of s^2, (K, 1, 1, 1).
        measured: the measurement, its pixels weighted by how well what they see is known.
    """

    picture: Tensor
    prior_kernel: Tensor
    prior_transfer: Tensor
    kernel_variance: Tensor
    deviation: Tensor
    weight: Tensor
    power: Tensor
    entries: Tensor
    measured: Measured

    @classmethod
    def of(
        cls,
        padded: PaddedFrame,
        measured: Measured,
        image: Belief,
        belief: Belief,
        predicted: Tensor | None = None,
        discount: bool = True,
        path: bool = True,
    ) -> Innovation:
        """The innovation of beliefs about the image and the kernel.

        Frames that share a kernel show one scene, so the error of its image does not average out over them.

        Args:
            padded: geometry of the convolution.
            measured: the measurement on the grid, (B, C, P, Q).
            image: belief about the image, of mean (B, C, H, W).
            belief: belief about the kernel, of mean (K, 1, h, w).
            predicted: luminance of the prediction on the grid, (B, 1, P, Q); None: by this one kernel.
            discount: whether to lower the weight of pixels that see unmeasured parts of the image (`discounted`).
            path: whether the kernel is the path of a camera, 0 in most entries.
        """
        frames = len(measured.values) // len(belief.mean)
        mean = to_luma_chroma(padded.extend(image.mean.to(measured.values)))
        picture = torch.fft.rfft2(mean)
        positive = belief.mean.to(mean).clamp(min=0)
        total = positive.sum((-3, -2, -1), keepdim=True).clamp(min=1e-8)
        prior = positive / total
        transfer = padded.transfer(prior)
        deviation, level = denoised_error(prior, belief.sigma, path and picture.shape[1] == 1)
        entries = deviation.square().sum((-3, -2, -1), keepdim=True)
        variance = error_variance(padded, prior, squared(transfer), entries, level / total)
        power = (squared(transfer) + variance).repeat_interleave(frames, 0)
        each_prior, each_transfer, each_variance = (
            one.repeat_interleave(frames, 0) for one in (prior, transfer, variance)
        )
        error = frames * error_spectrum(padded, image, mean)
        weight = 1 / (measured.noise_variance + error * power)
        if discount:
            measured = discounted(padded, measured, each_prior, weight)
        if predicted is None:
            predicted = padded.inverse(picture[:, :1] * each_transfer)
        weight = weight / misfit_inflation(padded, measured, predicted, picture, each_variance, weight)
        precision = weight * squared(picture)
        precision[..., 0, 0] = 0
        precision = sum_over_frames(precision.sum(1, keepdim=True), frames)
        return cls(picture, prior, each_transfer, variance, deviation, weight, precision, entries, measured)

    def remaining(self, padded: PaddedFrame) -> Tensor:
        """V': variance of the kernel's spectrum after the kernel step, (K, 1, P, Q // 2 + 1).

        The kernel's window couples neighbouring frequencies, so the data's precision is averaged over its bandwidth.
        """
        smooth = _smoothed(padded, self.power, self.prior_kernel.shape[-2:])
        return self.entries / (smooth + self.entries / self.kernel_variance)


def sum_over_frames(values: Tensor, frames: int) -> Tensor:
    """Sums over the successive frames of each image, (B F, ...) -> (B, ...)."""
    return values if frames == 1 else values.reshape(-1, frames, *values.shape[1:]).sum(1)


def discounted(padded: PaddedFrame, measured: Measured, kernel: Tensor, weight: Tensor) -> Measured:
    """The measurement with lower weights where the kernel reaches unmeasured parts of the image.

    The belief about these parts has hardly been compared with data. Its error is about how much a picture changes over
    the kernel's radius, at every noise level of the diffusion.

    Args:
        padded: geometry of the convolution.
        measured: the measurement on the grid.
        kernel: the kernel's mean, valid, (B, 1, h, w).
        weight: 1 / variance by frequency of everything else that separates measurement and prediction.
    """
    if measured.mask is None:
        return measured
    unseen = padded.inverse(_unmeasured(padded, measured.mask) * padded.transfer(kernel)).clamp(0, 1)
    change = DISCOUNT * picture_change(padded, measured.values, radius(kernel))
    columns = padded.columns(weight)
    usual = ((1 / weight[:, :1]) * columns).sum((-2, -1), keepdim=True) / (columns.sum() * weight.shape[-2])
    extra = unseen.square() * change
    return replace(measured, mask=measured.mask * (usual / (usual + extra)).sqrt())


@lru_cache(maxsize=2)
def _unmeasured(padded: PaddedFrame, mask: Tensor) -> Tensor:
    """Spectrum of the map of unmeasured pixels, those near measured ones counting less, (B, 1, P, Q // 2 + 1)."""
    unmeasured = (padded.crop(mask) == 0).to(mask)
    near = F.avg_pool2d(unmeasured, 2 * _PINNED + 1, 1, _PINNED, count_include_pad=False)
    spectrum: Tensor = torch.fft.rfft2(padded.extend(unmeasured * near))
    return spectrum


def picture_change(padded: PaddedFrame, like: Tensor, distance: Tensor) -> Tensor:
    """Mean squared change of the usual picture's luminance over a distance in pixels, (B, 1, 1, 1)."""
    frequency, columns = padded.frequencies(like), padded.columns(like)
    spectrum = picture_error(padded.size, like.shape[1], math.inf, like)[:1]
    changed = 2 * spectrum * (1 - torch.cos(2 * math.pi * frequency * distance)) * columns
    return changed.sum((-2, -1), keepdim=True) / (columns.sum() * frequency.shape[0])


def lowered_noise(padded: PaddedFrame, measured: Measured, predicted: Tensor, others: Tensor) -> Tensor:
    """The noise's variance by frequency, (B, C, P, Q // 2 + 1), estimated from the residual of a known kernel.

    In each of `_BANDS` it is the most likely variance, by expectation maximisation that starts at the given variance,
    and stays there where the band says little about the noise. It is never above the given variance: a residual that is
    larger than that is not noise (see `misfit_inflation`).

    JPEG compression and a camera's denoising remove fine detail and colour, from the noise and from the image. The
    residual is small there, but wrong. So the finest band is taken to be at least as noisy as the one before it, and
    chrominance as luminance; white noise is as strong in all of them.

    Args:
        padded: geometry of the convolution.
        measured: the measurement on the grid.
        predicted: the measurement that the image and the known kernel predict, on the grid.
        others: variance by frequency of everything else that separates measurement and prediction.
    """
    given, values = measured.noise_variance, measured.values
    taper = measured.taper()
    found = squared(torch.fft.rfft2(taper * (values - predicted)))
    found = found / taper.square().sum((-3, -2, -1), keepdim=True)
    frequency, columns = padded.frequencies(values), padded.columns(found)
    variance = given.expand(len(values), values.shape[1], 1, 1) * torch.ones_like(found)
    below = given[..., 0].new_zeros(1)
    for low, high in pairwise(_BANDS):
        band = (frequency >= low) & (frequency < high)
        weight = (band * columns)[band]
        if not len(weight):
            continue
        level = _noise_level(found[..., band], others.expand_as(found)[..., band], weight, given[..., 0])
        if high == _BANDS[-1]:
            level = torch.maximum(level, below)
        below = level
        variance[..., band] = torch.maximum(level, level[:, :1]).expand(-1, -1, len(weight))
    return variance


def _noise_level(seen: Tensor, others: Tensor, weight: Tensor, given: Tensor) -> Tensor:
    """The most likely variance of the noise in a band, (B, C, 1), at most the given one, (B, 1 or C, 1).

    Args:
        seen: squared spectrum of the residual in the band, (B, C, N).
        others: variance of everything else in it, (B, C, N).
        weight: how many frequencies each entry stands for, (N,).
        given: variance at which the iteration starts.
    """
    level = given.expand(*seen.shape[:2], 1)
    for _ in range(_NOISE_ITERATIONS):
        total = level + others
        each = (level / total).square() * seen + level * others / total
        level = (each * weight).sum(-1, keepdim=True) / weight.sum()
        level = torch.minimum(level.clamp(min=LEAST_NOISE**2), given)
    return level


def misfit_inflation(
    padded: PaddedFrame, measured: Measured, predicted: Tensor, picture: Tensor, variance: Tensor, weight: Tensor
) -> Tensor:
    """Factor by which all variances have to grow to explain the measurement's luminance, (B, 1, 1, 1), at least 1.

    It is the ratio of the measured to the expected variance, in the band of frequencies with the largest ratio, over
    `USUAL`.

    Args:
        padded: geometry of the convolution.
        measured: the measurement on the grid.
        predicted: luminance of the prediction on the grid.
        picture: spectrum of the image's mean.
        variance: V, variance of the kernel's spectrum.
        weight: 1 / variance of the noise by frequency.
    """
    values, picture, weight = measured.values[:, :1], picture[:, :1], weight[:, :1]
    residual = measured.masked(values - predicted)
    found = squared(torch.fft.rfft2(residual)) / measured.count
    expected = 1 / weight + squared(picture) / math.prod(padded.size) * variance
    ratio, frequency = found / expected, padded.frequencies(values)
    columns = padded.columns(ratio)
    inflation = torch.ones_like(ratio[..., :1, :1])
    for low, high in pairwise(_BANDS):
        band = ((frequency >= low) & (frequency < high)) * columns
        mean = (ratio * band).sum((-2, -1), keepdim=True) / band.sum().clamp(min=1)
        inflation = torch.maximum(inflation, mean / USUAL)
    return inflation


def error_spectrum(padded: PaddedFrame, image: Belief, like: Tensor) -> Tensor:
    """E(f): variance of the image belief's error by frequency, (1, C, P, Q // 2 + 1)."""
    return picture_error(padded.size, image.mean.shape[1], image.sigma, like)[None]


def _smoothed(padded: PaddedFrame, power: Tensor, sides: tuple[int, ...]) -> Tensor:
    """A spectrum averaged over the bandwidth of a window of (height, width) pixels."""
    tapers = []
    for length, side in zip(padded.size, sides, strict=True):
        away = torch.fft.fftfreq(length, 1 / length, dtype=power.dtype, device=power.device).abs()
        tapers.append((1 - away / side).clamp(min=0))
    down, across = tapers
    smoothed: Tensor = torch.fft.rfft2(padded.inverse(power) * (down[:, None] * across)).real
    return smoothed.clamp(min=0)
