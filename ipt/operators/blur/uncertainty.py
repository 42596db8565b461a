"""What the beliefs leave uncertain in a blurred measurement, by frequency: it counts as noise in the other's step.

The picture's part is the Wiener error of the usual picture (`ipt.linalg.spectra`): a flat weight will not do, for the
error falls with frequency and colour channels share most of it. The kernel's has a shape too: a path of mean radius r
has |K|^2 of about 1 / (1 + 3 pi f r), times what pixels leave of it (sinc^4), and none at frequency zero, because
kernels sum to 1 and are centred.
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
from ipt.operators.blur.measured import Measured, squared
from ipt.operators.blur.padded_frame import PaddedFrame

KERNEL_NOISE = 2.0
"""Variance a frequency that is believed of a denoised kernel, over that of the noise it was seen through. This and the
constants below: docs/method.md, Constants."""
USUAL = 1.4
"""Ratio of variances: a misfit within it is no reason to doubt."""
LEAST_NOISE = 0.0012
"""Of 0..1: rounding to 8 bits, 1 / 255 / sqrt(12)."""
_PINNED = 2
"""Pixels: what was measured so near holds what was not to it, so that a dead pixel hardly counts."""
_BANDS = (0.0, 0.04, 0.08, 0.16, 0.32, 1.0)
"""Cycles a pixel: between them the measurement is compared with what is expected of it."""
_NOISE_ITERATIONS = 4
DISCOUNT = 16.0
"""Variance of what is believed where nothing was measured, over how much pictures change: docs/method.md, Constants."""


@dataclass(frozen=True)
class Innovation:
    """What the beliefs say of the measurement before it is looked at, and how far it is from that; spectra on the grid.

    Attributes:
        picture: spectrum of the image's mean, in luminance and chrominance, (B, C, P, Q // 2 + 1).
        prior_kernel: the kernel's mean, valid, (K, 1, h, w): one an image, or one for each B / K in a row.
        prior_transfer: its spectrum.
        kernel_variance: what the belief leaves uncertain in the kernel, V, a frequency.
        weight: 1 / noise of the kernel step, (B, C, P, Q // 2 + 1).
        power: what the pictures say of the kernel with that weight, (K, 1, P, Q // 2 + 1).
        entries: number of the kernel's.
        measured: the measurement, in which pixels count as much as what they see is known.
    """

    picture: Tensor
    prior_kernel: Tensor
    prior_transfer: Tensor
    kernel_variance: Tensor
    weight: Tensor
    power: Tensor
    entries: int
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
    ) -> Innovation:
        """Of beliefs about the image and the kernel, held against the measurement.

        Frames that share a kernel are of one scene: the error of its image does not average out over them.

        Args:
            padded: the grid.
            measured: the measurement on it.
            image: what is believed of the image.
            belief: what is believed of the kernel.
            predicted: luminance of the measurement that they predict, on the grid; None: by this one kernel.
            discount: whether pixels that see what was not measured still have to be made to count less.
        """
        frames = len(measured.values) // len(belief.mean)
        mean = to_luma_chroma(padded.extend(image.mean.to(measured.values)))
        positive = belief.mean.to(mean).clamp(min=0)
        total = positive.sum((-3, -2, -1), keepdim=True).clamp(min=1e-8)
        prior = positive / total
        transfer = padded.transfer(prior)
        height, width = prior.shape[-2:]
        seen = squared(transfer)
        limit = torch.minimum((1 - seen).clamp(min=0).square(), kernel_spectrum(padded, prior)).clamp(min=1e-7)
        noise = KERNEL_NOISE * height * width * (belief.sigma / total).square()
        variance = limit * noise / (limit + noise) if math.isfinite(belief.sigma) else limit
        picture = torch.fft.rfft2(mean)
        error = frames * error_spectrum(padded, image, mean)
        prior, transfer, spread = (one.repeat_interleave(frames, 0) for one in (prior, transfer, seen + variance))
        weight = 1 / (measured.noise_variance + error * spread)
        if discount:
            measured = discounted(padded, measured, prior, weight)
        if predicted is None:
            predicted = padded.inverse(picture[:, :1] * transfer)
        each = variance.repeat_interleave(frames, 0)
        weight = weight / misfit_inflation(padded, measured, predicted, picture, each, weight)
        power = weight * squared(picture)
        power[..., 0, 0] = 0
        power = added(power.sum(1, keepdim=True), frames)
        return cls(picture, prior[::frames], transfer, variance, weight, power, height * width, measured)

    def remaining(self, padded: PaddedFrame) -> Tensor:
        """V': what is uncertain in the kernel's spectrum after the kernel step, (K, 1, P, Q // 2 + 1).

        Neighbouring frequencies share what they know; one row a kernel.
        """
        smooth = _smoothed(padded, self.power, self.prior_kernel.shape[-2:])
        return self.entries / (smooth + self.entries / self.kernel_variance)


def added(values: Tensor, frames: int) -> Tensor:
    """The sums over the frames of each image, which are in a row: (B F, ...) -> (B, ...)."""
    return values if frames == 1 else values.reshape(-1, frames, *values.shape[1:]).sum(1)


def discounted(padded: PaddedFrame, measured: Measured, kernel: Tensor, weight: Tensor) -> Measured:
    """A measurement whose pixels count the less, the more of the kernel sees what was not measured.

    What is believed there has hardly been held against data: its error is about how much a picture changes over the
    kernel's radius, whatever the noise level of the diffusion.

    Args:
        padded: the grid.
        measured: the measurement on it.
        kernel: what is believed of it, valid, (B, 1, h, w).
        weight: 1 / variance of all else that separates measurement and prediction, a frequency.
    """
    if measured.mask is None:
        return measured
    unseen = padded.inverse(_unmeasured(padded, measured.mask) * padded.transfer(kernel)).clamp(0, 1)
    change = DISCOUNT * picture_change(padded, measured.values, _radius(kernel))
    columns = padded.columns(weight)
    usual = ((1 / weight[:, :1]) * columns).sum((-2, -1), keepdim=True) / (columns.sum() * weight.shape[-2])
    extra = unseen.square() * change
    return replace(measured, mask=measured.mask * (usual / (usual + extra)).sqrt())


@lru_cache(maxsize=2)
def _unmeasured(padded: PaddedFrame, mask: Tensor) -> Tensor:
    """Spectrum of what was not measured, and is not near what was, (B, 1, P, Q // 2 + 1)."""
    unmeasured = (padded.crop(mask) == 0).to(mask)
    near = F.avg_pool2d(unmeasured, 2 * _PINNED + 1, 1, _PINNED, count_include_pad=False)
    spectrum: Tensor = torch.fft.rfft2(padded.extend(unmeasured * near))
    return spectrum


def picture_change(padded: PaddedFrame, like: Tensor, distance: Tensor) -> Tensor:
    """Mean square of how much the luminance of the usual picture changes over a distance in pixels, (B, 1, 1, 1)."""
    frequency, columns = padded.frequencies(like), padded.columns(like)
    spectrum = picture_error(padded.size, like.shape[1], math.inf, like)[:1]
    changed = 2 * spectrum * (1 - torch.cos(2 * math.pi * frequency * distance)) * columns
    return changed.sum((-2, -1), keepdim=True) / (columns.sum() * frequency.shape[0])


def lowered_noise(padded: PaddedFrame, measured: Measured, predicted: Tensor, others: Tensor) -> Tensor:
    """The noise's variance a frequency, (B, C, P, Q // 2 + 1): at most what was given, less where less is there.

    The most likely variance in each of `_BANDS`, by expectation maximisation from the given variance, which a band that
    says nothing of the noise hardly leaves. What is *more* than the given noise is not called noise here; see
    `misfit_inflation`.

    Args:
        padded: the grid.
        measured: the measurement on it.
        predicted: the measurement that image and kernel, which is known, predict, on the grid.
        others: variance a frequency of whatever else separates the measurement from the prediction.
    """
    given, values = measured.noise_variance, measured.values
    taper = measured.taper()
    found = squared(torch.fft.rfft2(taper * (values - predicted)))
    found = found / taper.square().sum((-3, -2, -1), keepdim=True)
    frequency, columns = padded.frequencies(values), padded.columns(found)
    variance = given.expand(len(values), values.shape[1], 1, 1) * torch.ones_like(found)
    for low, high in pairwise(_BANDS):
        band = (frequency >= low) & (frequency < high)
        weight = (band * columns)[band]
        if not len(weight):
            continue
        seen, rest = found[..., band], others.expand_as(found)[..., band]
        level = given[..., 0].expand(len(values), values.shape[1], 1)
        for _ in range(_NOISE_ITERATIONS):
            total = level + rest
            each = (level / total).square() * seen + level * rest / total
            level = (each * weight).sum(-1, keepdim=True) / weight.sum()
            level = torch.minimum(level.clamp(min=LEAST_NOISE**2), given[..., 0])
        variance[..., band] = level.expand_as(seen)
    return variance


def misfit_inflation(
    padded: PaddedFrame, measured: Measured, predicted: Tensor, picture: Tensor, variance: Tensor, weight: Tensor
) -> Tensor:
    """How much larger than believed all noise has to be to explain the measurement's luminance, (B, 1, 1, 1), >= 1.

    A ratio of variances over `USUAL`, of the band of frequencies with the largest misfit.

    Args:
        padded: the grid.
        measured: the measurement on it.
        predicted: luminance of the measurement that image and kernel predict, on the grid.
        picture: spectrum of the image's mean.
        variance: of the kernel's uncertainty, a frequency.
        weight: 1 / variance of the noise, a frequency.
    """
    values, picture, weight = measured.values[:, :1], picture[:, :1], weight[:, :1]
    residual = measured.only(values - predicted)
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
    """E(f): what a denoiser leaves uncertain in the picture, variance a frequency, (1, C, P, Q // 2 + 1)."""
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


def kernel_spectrum(padded: PaddedFrame, prior: Tensor) -> Tensor:
    """About E|K|^2 for a kernel as wide as the prior's mean."""
    frequency = padded.frequencies(prior)
    return torch.sinc(frequency) ** 4 / (1 + 3 * math.pi * frequency * _radius(prior))


def _radius(kernel: Tensor) -> Tensor:
    """Root mean square of the distance from the centre pixel, (B, 1, 1, 1)."""
    height, width = kernel.shape[-2:]
    rows = (torch.arange(height).to(kernel) - height // 2)[:, None]
    columns = (torch.arange(width).to(kernel) - width // 2)[None]
    return (kernel * (rows.square() + columns.square())).sum((-3, -2, -1), keepdim=True).clamp(min=0.05).sqrt()
