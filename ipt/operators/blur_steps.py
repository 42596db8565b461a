"""The exact steps of `blur`: the kernel given the image's estimate, and the image given the kernel.

Both are least squares on what was measured alone, in which what is uncertain in the *other* unknown counts as noise,
frequency by frequency:

    y = M (k * x) + n,   X = X0 + e,  E|e|^2 = E(f),    K = K0 + d,  E|d|^2 = V(f)
    kernel:  noise  sigma_n^2 + E (|K0|^2 + V)
    image:   noise  sigma_n^2 + (|X0|^2 + E) V',   V' what is left uncertain in the kernel once the data have spoken

M is the frame, and within it the mask of what was measured; what lies outside M is part of what is solved for. Without
M both systems are diagonal in the Fourier basis (the kernel's but for its window). That solution is the preconditioner
of the conjugate gradients that solve them with M.

E is the Wiener error of the usual picture (`ipt.linalg.spectra`): a flat weight will not do, for E falls with frequency
and colour channels share most of it. Where the measurement is further from what the beliefs predict than all this noise
explains, the picture is not so usual, or the kernel wrong: all of the noise is taken to be as much larger
(`misfit_inflation`). The kernel's own uncertainty has a shape too: a path of mean radius r has |K|^2 of about
1 / (1 + 3 pi f r), times what pixels leave of it (sinc^4), and none at frequency zero, because kernels sum to 1 and are
centred.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.core.abilities import Belief
from ipt.core.observation import Observation
from ipt.linalg.conjugate_gradients import conjugate_gradients
from ipt.linalg.spectra import left_uncertain, turned, turned_back
from ipt.operators.centring import recentred
from ipt.operators.padded_frame import PaddedFrame

KERNEL_NOISE = 2.0
"""Variance a frequency that is believed of a denoised kernel, over that of the noise it was seen through. How this and
the constants below were chosen: docs/method.md, Constants."""
LOCKED = 10.0
"""The kernel's error is this many times what least squares believe: image and kernel err together."""
DROP = 0.05
"""Kernel entries below this share of the largest are noise, while the image is coarse (level above `_FINE`)."""
_FINE = 0.15
_KERNEL_ITERATIONS = 8
_MASKED_KERNEL_ITERATIONS = 3
"""Each with `_INNER_ITERATIONS` of the system without mask."""
_INNER_ITERATIONS = 4
_IMAGE_ITERATIONS = 8
"""With an unknown kernel; twice as many with a known one, which is worth solving for exactly."""
_BANDS = (0.0, 0.04, 0.08, 0.16, 0.32, 1.0)
"""Cycles a pixel: between them the measurement is compared with what is expected of it."""
_NOISE_ITERATIONS = 4
LEAST_NOISE = 0.0012
"""Of 0..1: rounding to 8 bits, 1 / 255 / sqrt(12)."""
_TAPER = 8
"""Pixels."""
USUAL = 1.4
"""A misfit within this ratio of variances is no reason to doubt."""


@dataclass(frozen=True)
class Measured:
    """A measurement on the grid, in luminance and chrominance.

    Args:
        values: (B, C, P, Q), 0 where nothing was measured.
        mask: (B, 1, P, Q) of 0 and 1; None where all of the grid was measured.
        noise_variance: (B, 1, 1, 1).
    """

    values: Tensor
    mask: Tensor | None
    noise_variance: Tensor

    @classmethod
    def on(cls, padded: PaddedFrame, observation: Observation, dtype: torch.dtype) -> Measured:
        """An observation on the frame, in the arithmetic of a step."""
        values, noise_variance = turned(observation.measurement.to(dtype)), observation.noise_variance.to(dtype)
        if observation.mask is None and padded.closed:
            return cls(values, None, noise_variance)
        inside = torch.ones_like(values[:, :1])
        if observation.mask is not None:
            # A pixel of which one channel was not measured is left out: luminance needs all of them.
            inside = observation.mask.to(dtype).amin(1, keepdim=True)
        return cls(padded.embed(values * inside), padded.embed(inside), noise_variance)

    def only(self, grid: Tensor) -> Tensor:
        """What of a picture on the grid was measured, and 0 elsewhere."""
        return grid if self.mask is None else self.mask * grid

    def taper(self) -> Tensor:
        """What was measured, (B, 1, P, Q), fading to nothing at its edges so that these leak over few frequencies."""
        if self.mask is None:
            return torch.ones_like(self.values[:, :1])
        near = self.mask * F.avg_pool2d(self.mask, 2 * _TAPER + 1, 1, _TAPER, count_include_pad=True)
        # A small frame, and a mask of many holes, are all edge: what is furthest from it counts in full.
        near = near / near.amax((-2, -1), keepdim=True).clamp(min=1e-6)
        return (2 * near - 1).clamp(0, 1).sqrt()

    @property
    def count(self) -> Tensor | float:
        """How many pixels of the grid were measured, (B, 1, 1, 1)."""
        if self.mask is None:
            return float(self.values[0, 0].numel())
        return self.mask.sum((-3, -2, -1), keepdim=True)


def kernel(padded: PaddedFrame, measured: Measured, image: Belief, belief: Belief) -> Tensor:
    """The kernel (B, 1, h, w): non-negative, its largest entry 1, centred on its centre pixel.

    Priors of kernels know them by their peak (`ipt.training.sources`). With any other scale the level of noise would
    not mean to them what it says: a kernel that came out narrow would stand far above it, and stay.
    """
    sides = (belief.mean.shape[-2], belief.mean.shape[-1])
    known = Innovation.of(padded, measured, image, belief)
    pull = known.entries / known.kernel_variance
    # The mean tells nothing of a kernel that sums to 1, and would dominate the system.
    picture = known.picture.clone()
    picture[..., 0, 0] = 0
    share = measured.count / math.prod(padded.size)
    power = known.power * share + pull
    whole, inverse = padded.within(power, sides), padded.within(1 / power, sides)

    def explained(spectrum: Tensor) -> Tensor:
        """The kernel's window of what a weighed residual, given by its spectrum, tells of the kernel."""
        return padded.window((picture.conj() * spectrum).sum(1, keepdim=True), sides)

    unexplained = measured.only(measured.values - padded.inverse(known.picture * known.prior_transfer))
    if measured.mask is None:
        right = explained(known.weight * torch.fft.rfft2(unexplained))
        change = conjugate_gradients(whole, right, torch.zeros_like(right), _KERNEL_ITERATIONS, inverse)
    else:
        pulled = padded.within(pull.expand_as(power), sides)

        def weighed(residual: Tensor) -> Tensor:
            return explained(torch.fft.rfft2(measured.only(padded.filtered(residual, known.weight))))

        def apply(change: Tensor) -> Tensor:
            return weighed(measured.only(padded.inverse(picture * padded.transfer(change)))) + pulled(change)

        def precondition(residual: Tensor) -> Tensor:
            return conjugate_gradients(whole, residual, torch.zeros_like(residual), _INNER_ITERATIONS, inverse)

        right = weighed(unexplained)
        change = conjugate_gradients(apply, right, torch.zeros_like(right), _MASKED_KERNEL_ITERATIONS, precondition)
    solved = (known.prior_kernel + change).clamp(min=0)
    threshold = DROP * min(1.0, image.sigma / _FINE)
    solved = torch.where(solved < threshold * solved.amax((-2, -1), keepdim=True), 0, solved)
    solved = recentred(solved)
    return (solved / solved.amax((-3, -2, -1), keepdim=True).clamp(min=1e-8)).to(belief.mean)


def image(
    padded: PaddedFrame, measured: Measured, belief: Belief, kernel: Tensor, kernel_belief: Belief | None
) -> Tensor:
    """The image (B, C, H, W) given a valid kernel; kernel_belief: what was believed of it, None if it is known.

    The minimiser of ||M (y - k * x)||^2 / noise + ||x - mean||^2 / E.
    """
    mean = turned(belief.mean.to(measured.values))
    error = wiener_error(padded, belief, mean)
    transfer = padded.transfer(kernel.to(mean))
    picture = torch.fft.rfft2(padded.extend(mean))
    if kernel_belief is None:
        noise = lowered_noise(padded, measured, picture, transfer, error * squared(transfer))
    else:
        known = Innovation.of(padded, measured, belief, kernel_belief)
        power = squared(picture) / math.prod(padded.size) + error
        noise = measured.noise_variance + power * LOCKED * known.remaining(padded)
    gain = 1 / (squared(transfer) / noise + 1 / error)
    unexplained = measured.only(measured.values - padded.inverse(picture * transfer))
    if measured.mask is None:
        change = padded.filtered(unexplained, transfer.conj() / noise * gain)
        return (belief.mean + turned_back(change)).to(belief.mean)
    weigh: Callable[[Tensor], Tensor] = (
        (lambda residual: residual / noise)
        if noise.shape[-1] == 1
        else (lambda residual: measured.only(padded.filtered(residual, 1 / noise)))
    )

    def apply(change: Tensor) -> Tensor:
        spectrum = torch.fft.rfft2(padded.extend(change))
        weighed = torch.fft.rfft2(weigh(measured.only(padded.inverse(spectrum * transfer))))
        return padded.fold(padded.inverse(weighed * transfer.conj() + spectrum / error))

    def precondition(residual: Tensor) -> Tensor:
        return padded.crop(padded.filtered(padded.uncrop(residual), gain))

    right = padded.fold(padded.filtered(weigh(unexplained), transfer.conj()))
    iterations = 2 * _IMAGE_ITERATIONS if kernel_belief is None else _IMAGE_ITERATIONS
    change = conjugate_gradients(apply, right, torch.zeros_like(right), iterations, precondition)
    return (belief.mean + turned_back(change)).to(belief.mean)


@dataclass(frozen=True)
class Innovation:
    """What the beliefs say of the measurement before it is looked at, and how far it is from that; spectra on the grid.

    Args:
        picture: Of the image's mean, in luminance and chrominance, (B, C, P, Q // 2 + 1).
        prior_kernel: The kernel's mean, valid, (B, 1, h, w).
        prior_transfer: Its spectrum.
        kernel_variance: What the belief leaves uncertain in the kernel, a frequency.
        weight: 1 / noise of the kernel step.
        power: What the picture tells of the kernel with that weight.
        entries: Of the kernel.
    """

    picture: Tensor
    prior_kernel: Tensor
    prior_transfer: Tensor
    kernel_variance: Tensor
    weight: Tensor
    power: Tensor
    entries: int

    @classmethod
    def of(cls, padded: PaddedFrame, measured: Measured, image: Belief, belief: Belief) -> Innovation:
        """Of beliefs about the image and the kernel, held against the measurement."""
        mean = turned(padded.extend(image.mean.to(measured.values)))
        positive = belief.mean.to(mean).clamp(min=0)
        total = positive.sum((-3, -2, -1), keepdim=True).clamp(min=1e-8)
        prior = positive / total
        transfer = padded.transfer(prior)
        height, width = prior.shape[-2:]
        seen = squared(transfer)
        limit = torch.minimum((1 - seen).clamp(min=0).square(), _kernel_spectrum(padded, prior)).clamp(min=1e-7)
        noise = KERNEL_NOISE * height * width * (belief.sigma / total).square()
        variance = limit * noise / (limit + noise) if math.isfinite(belief.sigma) else limit
        picture = torch.fft.rfft2(mean)
        weight = 1 / (measured.noise_variance + wiener_error(padded, image, mean) * (seen + variance))
        weight = weight / misfit_inflation(padded, measured, picture, transfer, variance, weight)
        power = weight * squared(picture)
        power[..., 0, 0] = 0
        return cls(picture, prior, transfer, variance, weight, power.sum(1, keepdim=True), height * width)

    def remaining(self, padded: PaddedFrame) -> Tensor:
        """V': what is uncertain in the kernel's spectrum after the kernel step; neighbouring frequencies share what
        they know."""
        smooth = _smoothed(padded, self.power, self.prior_kernel.shape[-2:])
        return self.entries / (smooth + self.entries / self.kernel_variance)


def lowered_noise(padded: PaddedFrame, measured: Measured, picture: Tensor, transfer: Tensor, others: Tensor) -> Tensor:
    """The noise's variance a frequency, (B, C, P, Q // 2 + 1): at most what was given, less where less is there.

    The most likely variance in each of `_BANDS`, given how far the measurement is from the prediction and that `others`
    is the variance of whatever else is in that: by expectation maximisation from the given variance, which a band that
    says nothing of the noise hardly leaves. What is *more* than the given noise is not called noise here; see
    `misfit_inflation`.
    """
    given, values = measured.noise_variance, measured.values
    taper = measured.taper()
    found = squared(torch.fft.rfft2(taper * (values - padded.inverse(picture * transfer))))
    found = found / taper.square().sum((-3, -2, -1), keepdim=True)
    frequency, columns = padded.frequencies(values), _columns(padded, found)
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


def _columns(padded: PaddedFrame, spectrum: Tensor) -> Tensor:
    """How many columns of the whole spectrum each of the half stands for: those between the first and the last two."""
    columns = torch.full_like(spectrum[0, 0, 0], 2.0)
    columns[0] = 1
    if padded.size[1] % 2 == 0:
        columns[-1] = 1
    return columns


def misfit_inflation(
    padded: PaddedFrame, measured: Measured, picture: Tensor, transfer: Tensor, variance: Tensor, weight: Tensor
) -> Tensor:
    """How much further the luminance of the measurement is from what the beliefs predict than noise (1 / weight) and
    the kernel's uncertainty (variance) explain, as a ratio of variances, over `USUAL`, of the band of frequencies with
    the largest misfit; at least 1, (B, 1, 1, 1)."""
    values, picture, weight = measured.values[:, :1], picture[:, :1], weight[:, :1]
    residual = measured.only(values - padded.inverse(picture * transfer))
    found = squared(torch.fft.rfft2(residual)) / measured.count
    expected = 1 / weight + squared(picture) / math.prod(padded.size) * variance
    ratio, frequency = found / expected, padded.frequencies(values)
    columns = _columns(padded, ratio)
    inflation = torch.ones_like(ratio[..., :1, :1])
    for low, high in pairwise(_BANDS):
        band = ((frequency >= low) & (frequency < high)) * columns
        mean = (ratio * band).sum((-2, -1), keepdim=True) / band.sum().clamp(min=1)
        inflation = torch.maximum(inflation, mean / USUAL)
    return inflation


def wiener_error(padded: PaddedFrame, image: Belief, like: Tensor) -> Tensor:
    """E(f): what a denoiser leaves uncertain in the picture, variance a frequency, (1, C, P, Q // 2 + 1)."""
    return left_uncertain(padded.frequencies(like), image.mean.shape[1], image.sigma)[None]


def squared(spectrum: Tensor) -> Tensor:
    """|spectrum|^2; `abs` would take the root of it first."""
    return spectrum.real.square() + spectrum.imag.square()


def double(tensor: Tensor) -> Tensor:
    """In double precision, but on Apple's GPUs, which have none."""
    return tensor if tensor.device.type == "mps" else tensor.double()


def _smoothed(padded: PaddedFrame, power: Tensor, sides: tuple[int, ...]) -> Tensor:
    """A spectrum averaged over the bandwidth of a window of (height, width) pixels."""
    tapers = []
    for length, side in zip(padded.size, sides, strict=True):
        away = torch.fft.fftfreq(length, 1 / length, dtype=power.dtype, device=power.device).abs()
        tapers.append((1 - away / side).clamp(min=0))
    down, across = tapers
    return torch.fft.rfft2(padded.inverse(power) * (down[:, None] * across)).real.clamp(min=0)


def _kernel_spectrum(padded: PaddedFrame, prior: Tensor) -> Tensor:
    """About E|K|^2 for a kernel as wide as the prior's mean."""
    height, width = prior.shape[-2:]
    rows = (torch.arange(height).to(prior) - height // 2)[:, None]
    columns = (torch.arange(width).to(prior) - width // 2)[None]
    radius = (prior * (rows.square() + columns.square())).sum((-3, -2, -1), keepdim=True).clamp(min=0.05).sqrt()
    frequency = padded.frequencies(prior)
    return torch.sinc(frequency) ** 4 / (1 + 3 * math.pi * frequency * radius)
