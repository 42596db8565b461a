"""The exact steps of `blur`: the kernel given the image's estimate, and the image given the kernel.

Both are least squares on what was measured. The uncertainty of the *other* unknown counts as noise, by frequency:

    y = M (k * x) + n,   X = X0 + e,  E|e|^2 = E(f),    K = K0 + d,  E|d|^2 = V(f)
    kernel step:  noise  sigma_n^2 + E (|K0|^2 + V)
    image step:   noise  sigma_n^2 + (|X0|^2 + E) V',   V' the variance of the kernel's spectrum after the kernel step

X0 and K0 are the beliefs' means, and d(u) is s(u) times noise that is alike everywhere. E, V, V' and s are in
`ipt.operators.blur.uncertainty`. M is the frame, and within it the mask of what was measured; what lies outside M is
solved for with the rest. Without M both systems are diagonal in the Fourier basis (the kernel's up to its window and
s), and that solution is the preconditioner of the conjugate gradients that solve them with M.

Where the measurement is further from the prediction than all of this noise explains, the beliefs are too certain, and
all of the noise is scaled up (`misfit_inflation`).
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
from ipt.operators.blur.masked_system import MaskedSystem
from ipt.operators.blur.measured import SINGLE, Measured, squared
from ipt.operators.blur.padded_frame import PaddedFrame
from ipt.operators.blur.uncertainty import Innovation, error_spectrum, lowered_noise, sum_over_frames

LOCKED = 10.0
"""Variance of the kernel's error over that which least squares predict, because the errors of image and kernel are
correlated. This and the constants below: docs/method.md, Constants."""
DROP = 0.05
"""Kernel entries below this share of the largest count as noise while the image's noise level is above `_FINE`."""
_FINE = 0.15
"""Noise level of the image, in units of 0..1; below it the share falls in proportion to the level."""
_KERNEL_ITERATIONS = 8
"""Conjugate gradient iterations of the kernel step without a mask."""
_MASKED_KERNEL_ITERATIONS = 3
"""Iterations with a mask, each with `_INNER_ITERATIONS` of the system without mask as preconditioner."""
_INNER_ITERATIONS = 4
_IMAGE_ITERATIONS = (8, 64)
"""Most iterations of the image step: with an unknown kernel, and with a known one, which is worth an exact solution."""
_TOLERANCE = 0.0002
"""Relative residual at which the image step's system counts as solved."""
_ENOUGH = 0.02
"""The same with an unknown kernel at fine levels: the noise that the transition adds is a hundred times larger."""


def solve_kernel(padded: PaddedFrame, measured: Measured, image: Belief, belief: Belief) -> Tensor:
    """The kernel (B, 1, h, w): non-negative, its largest entry 1, centred on its centre pixel.

    Priors of kernels are trained on kernels with this peak (`ipt.training.sources`). With another scale the noise level
    would be wrong for them: a narrow kernel with its large entries would stand far above the noise and never change.

    Args:
        padded: geometry of the convolution.
        measured: the measurement on the grid, (B, C, P, Q).
        image: belief about the image.
        belief: belief about the kernel, (B, 1, h, w), or (B / F, 1, h, w) for one that F successive frames share.
    """
    solved = least_squares_kernel(padded, _innovation(padded, measured, image, belief))
    return peaked(recentred(sparse_kernel(solved, image.sigma), image.sigma)).to(belief.mean)


@lru_cache(maxsize=1)
def _innovation(padded: PaddedFrame, measured: Measured, image: Belief, belief: Belief) -> Innovation:
    """The innovation, which the kernel step and the image step after it share."""
    return Innovation.of(padded, measured, image, belief)


def least_squares_kernel(padded: PaddedFrame, known: Innovation) -> Tensor:
    """The least squares kernel, (K, 1, h, w): entries of either sign, sum about 1.

    It minimises ||M (y - k * x)||^2 weighted by `known.weight`, plus ||(k - prior kernel) / s||^2 weighted by
    1 / `known.kernel_variance`; s is `known.deviation`. It is solved for (k - prior kernel) / s.
    """
    sides, measured = (known.prior_kernel.shape[-2], known.prior_kernel.shape[-1]), known.measured
    deviation = known.deviation
    frames = len(measured.values) // len(known.prior_kernel)
    prior_precision = known.entries / known.kernel_variance
    # The image's mean says nothing about a kernel of sum 1, and would dominate the system.
    picture = known.picture.clone()
    picture[..., 0, 0] = 0
    share = measured.count / math.prod(padded.size)
    if isinstance(share, Tensor):
        share = sum_over_frames(share, frames) / frames
    pull = padded.within(prior_precision, sides)
    data, unmasked_inverse = (
        padded.within(spectrum, sides)
        for spectrum in (known.power * share, 1 / (known.power * share + prior_precision))
    )

    def unmasked(change: Tensor) -> Tensor:
        return deviation * data(deviation * change) + pull(change)

    def correlated(spectrum: Tensor) -> Tensor:
        """Correlation of the image with a weighted residual that has this spectrum, times s, (K, 1, h, w)."""
        product = sum_over_frames((picture.conj() * spectrum).sum(1, keepdim=True), frames)
        return deviation * padded.window(product, sides)

    unexplained = measured.masked(measured.values - padded.inverse(known.picture * known.prior_transfer))
    if measured.mask is None:
        right = correlated(known.weight * torch.fft.rfft2(unexplained))
        change = conjugate_gradients(unmasked, right, None, _KERNEL_ITERATIONS, unmasked_inverse)
        return known.prior_kernel + deviation * change

    weighted = padded.repeated_filter(known.weight)

    def adjoint(residual: Tensor) -> Tensor:
        return correlated(torch.fft.rfft2(measured.masked(weighted(residual))))

    def apply(change: Tensor) -> Tensor:
        transfer = padded.transfer(deviation * change).repeat_interleave(frames, 0)
        return adjoint(measured.masked(padded.inverse(picture * transfer))) + pull(change)

    def precondition(residual: Tensor) -> Tensor:
        return conjugate_gradients(unmasked, residual, None, _INNER_ITERATIONS, unmasked_inverse)

    change = conjugate_gradients(apply, adjoint(unexplained), None, _MASKED_KERNEL_ITERATIONS, precondition)
    return known.prior_kernel + deviation * change


def sparse_kernel(kernel: Tensor, level: float) -> Tensor:
    """Kernels (..., h, w) without negative entries and without small ones.

    Args:
        kernel: (..., h, w).
        level: noise level of the image, in units of 0..1; the higher, the larger are the entries that are dropped.
    """
    kernel, threshold = kernel.clamp(min=0), DROP * min(1.0, level / _FINE)
    return torch.where(kernel < threshold * kernel.amax((-2, -1), keepdim=True), 0, kernel)


def peaked(kernel: Tensor) -> Tensor:
    """Kernels (..., h, w), each divided by its largest entry."""
    return kernel / kernel.amax((-2, -1), keepdim=True).clamp(min=1e-8)


def solve_image(
    padded: PaddedFrame, measured: Measured, belief: Belief, kernel: Tensor, kernel_belief: Belief | None
) -> Tensor:
    """The image (B, C, H, W) given a valid kernel: minimiser of ||M (y - k * x)||^2 / noise + ||x - mean||^2 / E.

    Args:
        padded: geometry of the convolution.
        measured: the measurement on the grid.
        belief: belief about the image; with `white` a draw from the Gaussian is returned instead of its mean.
        kernel: non-negative, sum 1, (B, 1, h, w).
        kernel_belief: belief about the kernel before the kernel step; None if it is known.
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
    unexplained = measured.values - padded.inverse(picture * transfer)
    if measured.mask is None:
        change = padded.filtered(unexplained, transfer.conj() / noise * gain)
    else:
        conjugate = transfer.conj().resolve_conj()
        system = MaskedSystem(
            padded,
            measured,
            lambda spectrum: padded.inverse(spectrum * transfer),
            lambda grid: torch.fft.rfft2(grid).mul_(conjugate),
            noise,
            error,
            gain,
        )
        iterations = _IMAGE_ITERATIONS[kernel_belief is None and math.isfinite(belief.sigma)]
        change = system.solve(unexplained, iterations, image_tolerance(belief, kernel_belief))
    return _changed(padded, belief, change, gain)


def image_tolerance(belief: Belief, kernel_belief: Belief | None) -> float:
    """Relative residual at which the image step's system counts as solved."""
    return _TOLERANCE if kernel_belief is None or belief.sigma > SINGLE else _ENOUGH


def _changed(padded: PaddedFrame, belief: Belief, change: Tensor, variance: Tensor) -> Tensor:
    """The belief's mean plus a change in luminance and chrominance, (B, C, H, W).

    With `belief.white`, noise with this variance by frequency is added: a draw from the image's Gaussian.
    """
    if belief.white is not None:
        white = padded.filtered(padded.uncrop(belief.white.to(change)), variance.sqrt())
        change = change + padded.crop(white)
    return (belief.mean + from_luma_chroma(change)).to(belief.mean)
