"""The exact steps of `blur`: the kernel given the image's estimate, and the image given the kernel.

Both are least squares on what was measured alone, in which what is uncertain in the *other* unknown counts as noise,
frequency by frequency:

    y = M (k * x) + n,   X = X0 + e,  E|e|^2 = E(f),    K = K0 + d,  E|d|^2 = V(f)
    kernel:  noise  sigma_n^2 + E (|K0|^2 + V)
    image:   noise  sigma_n^2 + (|X0|^2 + E) V',   V' what is left uncertain in the kernel once the data have spoken

M is the frame, and within it the mask of what was measured; what lies outside M is part of what is solved for. Without
M both systems are diagonal in the Fourier basis (the kernel's but for its window). That solution is the preconditioner
of the conjugate gradients that solve them with M.

E, V and V': `ipt.operators.blur.uncertainty`. Where the measurement is further from what the beliefs predict than all
this noise explains, the picture is not so usual, or the kernel wrong: all of the noise is taken to be as much larger
(`misfit_inflation`).
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor

from ipt.core.abilities import Belief
from ipt.linalg.conjugate_gradients import conjugate_gradients
from ipt.linalg.spectra import from_luma_chroma, to_luma_chroma
from ipt.operators.blur.centring import recentred
from ipt.operators.blur.measured import SINGLE, Measured, squared
from ipt.operators.blur.padded_frame import PaddedFrame
from ipt.operators.blur.uncertainty import Innovation, added, error_spectrum, lowered_noise

LOCKED = 10.0
"""The kernel's error is this many times what least squares believe: image and kernel err together. This and the
constants below: docs/method.md, Constants."""
DROP = 0.05
"""Kernel entries below this share of the largest are noise, while the image is coarse (level above `_FINE`)."""
_FINE = 0.15
_KERNEL_ITERATIONS = 8
_MASKED_KERNEL_ITERATIONS = 3
"""Each with `_INNER_ITERATIONS` of the system without mask."""
_INNER_ITERATIONS = 4
_IMAGE_ITERATIONS = (8, 64)
"""At most, with an unknown kernel and with a known one, which is worth solving for exactly once the image was seen."""
_TOLERANCE = 0.0002
"""Residual of the image step's system, as a share of what it was, at which it is solved."""
_ENOUGH = 0.02
"""The same with an unknown kernel at fine levels, where the noise that follows is a hundred times what is left."""


def solve_kernel(padded: PaddedFrame, measured: Measured, image: Belief, belief: Belief) -> Tensor:
    """The kernel (B, 1, h, w): non-negative, its largest entry 1, centred on its centre pixel.

    Priors of kernels know them by their peak (`ipt.training.sources`). With any other scale the level of noise would
    not mean to them what it says: a kernel that came out narrow would stand far above it, and stay.

    Args:
        padded: the grid.
        measured: the measurement on it.
        image: what is believed of the image.
        belief: what is believed of the kernel, (B, 1, h, w), or (B / F, 1, h, w) of one that F frames in a row share.
    """
    solved = least_squares_kernel(padded, _innovation(padded, measured, image, belief))
    return peaked(recentred(sparse_kernel(solved, image.sigma))).to(belief.mean)


@lru_cache(maxsize=1)
def _innovation(padded: PaddedFrame, measured: Measured, image: Belief, belief: Belief) -> Innovation:
    """What the kernel step and the image step after it have in common."""
    return Innovation.of(padded, measured, image, belief)


def least_squares_kernel(padded: PaddedFrame, known: Innovation) -> Tensor:
    """The kernel (K, 1, h, w), its entries of either sign, about of sum 1, given what is known of it."""
    sides, measured = (known.prior_kernel.shape[-2], known.prior_kernel.shape[-1]), known.measured
    frames = len(measured.values) // len(known.prior_kernel)
    pull = known.entries / known.kernel_variance
    # The mean says nothing of a kernel that sums to 1, and would dominate the system.
    picture = known.picture.clone()
    picture[..., 0, 0] = 0
    share = measured.count / math.prod(padded.size)
    if isinstance(share, Tensor):
        share = added(share, frames) / frames
    power = known.power * share + pull
    whole, inverse = padded.within(power, sides), padded.within(1 / power, sides)

    def explained(spectrum: Tensor) -> Tensor:
        """The kernel's window of what a weighed residual, given by its spectrum, says of the kernel."""
        return padded.window(added((picture.conj() * spectrum).sum(1, keepdim=True), frames), sides)

    unexplained = measured.only(measured.values - padded.inverse(known.picture * known.prior_transfer))
    if measured.mask is None:
        right = explained(known.weight * torch.fft.rfft2(unexplained))
        change = conjugate_gradients(whole, right, None, _KERNEL_ITERATIONS, inverse)
    else:
        pulled, filtered = padded.within(pull.expand_as(power), sides), padded.repeated_filter(known.weight)

        def weighed(residual: Tensor) -> Tensor:
            return explained(torch.fft.rfft2(measured.only(filtered(residual))))

        def apply(change: Tensor) -> Tensor:
            transfer = padded.transfer(change).repeat_interleave(frames, 0)
            return weighed(measured.only(padded.inverse(picture * transfer))) + pulled(change)

        def precondition(residual: Tensor) -> Tensor:
            return conjugate_gradients(whole, residual, None, _INNER_ITERATIONS, inverse)

        right = weighed(unexplained)
        change = conjugate_gradients(apply, right, None, _MASKED_KERNEL_ITERATIONS, precondition)
    return known.prior_kernel + change


def sparse_kernel(kernel: Tensor, level: float) -> Tensor:
    """Kernels (..., h, w) without negative entries, and without small ones where the image is coarse, by its noise."""
    kernel, threshold = kernel.clamp(min=0), DROP * min(1.0, level / _FINE)
    return torch.where(kernel < threshold * kernel.amax((-2, -1), keepdim=True), 0, kernel)


def peaked(kernel: Tensor) -> Tensor:
    """Kernels (..., h, w), the largest entry of each 1."""
    return kernel / kernel.amax((-2, -1), keepdim=True).clamp(min=1e-8)


def solve_image(
    padded: PaddedFrame, measured: Measured, belief: Belief, kernel: Tensor, kernel_belief: Belief | None
) -> Tensor:
    """The image (B, C, H, W) given a valid kernel: minimiser of ||M (y - k * x)||^2 / noise + ||x - mean||^2 / E.

    Args:
        padded: the grid.
        measured: the measurement on it.
        belief: what is believed of the image.
        kernel: non-negative, sum 1, (B, 1, h, w).
        kernel_belief: what was believed of it before the kernel step; None if it is known.
    """
    mean = to_luma_chroma(belief.mean.to(measured.values))
    error = error_spectrum(padded, belief, mean)
    transfer = padded.transfer(kernel.to(mean))
    picture = torch.fft.rfft2(padded.extend(mean))
    if kernel_belief is None:
        noise = lowered_noise(padded, measured, padded.inverse(picture * transfer), error * squared(transfer))
    else:
        # The kernel step's belief was the same, without the noise to draw with.
        known = _innovation(padded, measured, replace(belief, white=None), kernel_belief)
        _innovation.cache_clear()
        power = squared(picture) / math.prod(padded.size) + error
        noise = measured.noise_variance + power * LOCKED * known.remaining(padded)
    gain = 1 / (squared(transfer) / noise + 1 / error)
    unexplained = measured.only(measured.values - padded.inverse(picture * transfer))
    if measured.mask is None:
        change = padded.filtered(unexplained, transfer.conj() / noise * gain)
        return _moved(padded, belief, change, gain)
    white, weight, pull = noise.shape[-1] == 1, 1 / noise, 1 / error
    filtered = None if white else padded.repeated_filter(weight)

    def weighed(residual: Tensor) -> Tensor:
        """Spectrum of a residual on the grid over the noise, of what was measured alone."""
        over = residual * weight if filtered is None else filtered(residual)
        found: Tensor = torch.fft.rfft2(measured.only(over))
        return found

    iterations = _IMAGE_ITERATIONS[kernel_belief is None and math.isfinite(belief.sigma)]
    tolerance = enough(belief, kernel_belief)
    if padded.size == padded.image:
        # Image and grid are one, so all but the mask is a product of spectra.
        scale = padded.columns(mean).sqrt()
        forward, back = transfer / scale, transfer.conj() * scale

        def apply(change: Tensor) -> Tensor:
            return back * weighed(measured.only(padded.inverse(change * forward))) + change * pull

        right = back * weighed(unexplained)
        found = conjugate_gradients(apply, right, None, iterations, lambda residual: residual * gain, tolerance)
        return _moved(padded, belief, padded.inverse(found / scale), gain)

    def apply_extended(change: Tensor) -> Tensor:
        spectrum = torch.fft.rfft2(padded.extend(change))
        seen = measured.only(padded.inverse(spectrum * transfer))
        return padded.fold(padded.inverse(weighed(seen) * transfer.conj() + spectrum * pull))

    def precondition(residual: Tensor) -> Tensor:
        return padded.crop(padded.filtered(padded.uncrop(residual), gain))

    right = padded.fold(padded.inverse(weighed(unexplained) * transfer.conj()))
    change = conjugate_gradients(apply_extended, right, None, iterations, precondition, tolerance)
    return _moved(padded, belief, change, gain)


def enough(belief: Belief, kernel_belief: Belief | None) -> float:
    """Of the image step's system the share of its residual at which it is solved."""
    return _TOLERANCE if kernel_belief is None or belief.sigma > SINGLE else _ENOUGH


def _moved(padded: PaddedFrame, belief: Belief, change: Tensor, variance: Tensor) -> Tensor:
    """The image changed by luminance and chrominance, and drawn with its variance a frequency where noise is given."""
    if belief.white is not None:
        white = padded.filtered(padded.uncrop(belief.white.to(change)), variance.sqrt())
        change = change + padded.crop(white)
    return (belief.mean + from_luma_chroma(change)).to(belief.mean)
