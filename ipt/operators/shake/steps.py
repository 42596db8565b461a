"""The exact steps of `shake`: the kernels given the image's estimate, and the image given the kernels.

Those of `ipt.operators.blur.steps`, whose notation this is. A kernel is what all have in common, and what is its own:

    K_r = C + d_r,   sum_r d_r = 0

All tiles believe much the same, so their beliefs count together for C and not once a tile. C is the kernel that `blur`
finds in the whole frame, of the measurement without what the believed differences explain, y - sum_r w_r (d_r * x).
Then each kernel is solved for in its own tile, about C and the believed difference, as if it held there, each pixel
counting as the tile's window says. Of the differences neighbours know each other (`ipt.operators.shake.tie`).

The image solves the whole system, by conjugate gradients with the preconditioner of the kernels' mean power.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from ipt.core.abilities import Belief
from ipt.linalg.conjugate_gradients import conjugate_gradients
from ipt.linalg.spectra import from_luma_chroma, to_luma_chroma
from ipt.operators.blur.centring import recentred
from ipt.operators.blur.measured import Measured, squared
from ipt.operators.blur.padded_frame import PaddedFrame
from ipt.operators.blur.steps import LOCKED, enough, least_squares_kernel, peaked, sparse_kernel
from ipt.operators.blur.uncertainty import Innovation, error_spectrum, kernel_spectrum, lowered_noise
from ipt.operators.shake.tie import tied
from ipt.operators.shake.tiles import Tiles

APART = 0.075
"""Noise level of the image, of 0..1, above which kernels do not part: docs/method.md, Shake."""
_WIDTH = 0.08
"""Cycles a pixel: below it a kernel's spectrum tells how wide the kernel is."""
_IMAGE_ITERATIONS = (8, 64)
"""As of `blur`."""


def solve_kernels(tiles: Tiles, measured: Measured, image: Belief, belief: Belief, prior_weight: float) -> Tensor:
    """The kernels (B, tiles, h, w): non-negative, the largest entry of each 1, centred together.

    Args:
        tiles: of the frame.
        measured: the measurement on the whole grid.
        image: what is believed of the image.
        belief: what is believed of the kernels, (B, tiles, h, w).
        prior_weight: how often that counts for all tiles together.
    """
    padded, each = tiles.padded, (-1, tiles.count**2)
    believed = _valid(belief.mean.to(measured.values))
    if image.sigma > APART:
        one = _common_kernel(padded, Innovation.of(padded, measured, image, common(belief)), prior_weight)
        return peaked(recentred(sparse_kernel(one, image.sigma))).expand_as(believed).to(belief.mean)
    differing = believed - believed.mean(1, keepdim=True)
    grid = padded.extend(image.mean.to(measured.values))
    explained = padded.embed(tiles.forward(to_luma_chroma(grid), differing))
    rest = replace(measured, values=measured.values - explained)
    known = Innovation.of(padded, rest, image, common(belief))
    one = _common_kernel(padded, known, prior_weight)

    parts = _parted(tiles, replace(measured, mask=known.measured.mask))
    alone = replace(belief, mean=belief.mean.flatten(0, 1)[:, None])
    known = Innovation.of(tiles.own, parts, replace(image, mean=tiles.seen(grid)), alone, discount=False)
    prior = (one + differing).flatten(0, 1)[:, None]
    variance = tiles.count**2 / prior_weight * known.kernel_variance
    known = replace(known, prior_kernel=prior, prior_transfer=tiles.own.transfer(prior), kernel_variance=variance)
    found = least_squares_kernel(tiles.own, known)[:, 0].unflatten(0, each)
    left = _variance(tiles, known, parts)[:, 0].unflatten(0, each)
    twice = replace(tiles.own, size=(2 * tiles.sides[0], 2 * tiles.sides[1]))
    power = kernel_spectrum(twice, believed.mean(1, keepdim=True))
    solved = one + tied(found - one, left, power, tiles.places)
    return peaked(recentred(sparse_kernel(solved, image.sigma))).to(belief.mean)


def solve_image(
    tiles: Tiles, measured: Measured, belief: Belief, kernels: Tensor, kernel_belief: Belief | None
) -> Tensor:
    """The image (B, C, H, W) given valid kernels: minimiser of ||M (y - A x)||^2 / noise + ||x - mean||^2 / E.

    Args:
        tiles: of the frame.
        measured: the measurement on the whole grid.
        belief: what is believed of the image.
        kernels: non-negative, sum 1 each, (B, tiles, h, w).
        kernel_belief: what was believed of them before their step; None if they are known.
    """
    padded, kernels = tiles.padded, kernels.to(measured.values)
    mean = to_luma_chroma(belief.mean.to(measured.values))
    grid, transfer = padded.extend(mean), tiles.transfer(kernels)
    error, picture = error_spectrum(padded, belief, mean), torch.fft.rfft2(grid)
    power = torch.stack([squared(padded.transfer(each[:, None])) for each in kernels.unbind(1)]).mean(0)
    predicted = padded.embed(tiles.blended(tiles.spectrum(grid) * transfer))
    if kernel_belief is None:
        noise = lowered_noise(padded, measured, predicted, error * power)
    else:
        known = Innovation.of(padded, measured, belief, common(kernel_belief), predicted[:, :1])
        uncertain = LOCKED * known.remaining(padded)
        noise = measured.noise_variance + (squared(picture) / math.prod(padded.size) + error) * uncertain
    gain, weight, pull = 1 / (power / noise + 1 / error), 1 / noise, 1 / error

    def weighed(residual: Tensor) -> Tensor:
        """The picture's part in a residual on the grid, over the noise, of what was measured alone; on the grid."""
        rest = measured.only(padded.filtered(measured.only(residual), weight))
        return tiles.back(tiles.parted(padded.observe(rest)) * transfer.conj())

    def apply(change: Tensor) -> Tensor:
        wide = padded.extend(change)
        seen = padded.embed(tiles.blended(tiles.spectrum(wide) * transfer))
        return padded.fold(weighed(seen) + padded.filtered(wide, pull))

    def precondition(residual: Tensor) -> Tensor:
        return padded.crop(padded.filtered(padded.uncrop(residual), gain))

    right = padded.fold(weighed(measured.values - predicted))
    iterations = _IMAGE_ITERATIONS[kernel_belief is None]
    change = conjugate_gradients(apply, right, None, iterations, precondition, enough(belief, kernel_belief))
    return (belief.mean + from_luma_chroma(change)).to(belief.mean)


def common(belief: Belief) -> Belief:
    """What is believed of what the kernels have in common, (B, 1, h, w): their mean, each of the same sum."""
    total = belief.mean.clamp(min=0).sum((-2, -1), keepdim=True).mean(1, keepdim=True)
    return replace(belief, mean=total * _valid(belief.mean).mean(1, keepdim=True))


def _valid(kernels: Tensor) -> Tensor:
    """Kernels (B, tiles, h, w) without negative entries, each of sum 1."""
    positive = kernels.clamp(min=0)
    return positive / positive.sum((-2, -1), keepdim=True).clamp(min=1e-8)


def _common_kernel(padded: PaddedFrame, known: Innovation, weight: float) -> Tensor:
    """What all kernels have in common, (B, 1, h, w): that of `blur`, whose belief counts up to `weight` times.

    What least squares change of a belief of variance V, of which V' is left, has the variance V - V'. Where it is more
    at the lowest frequencies, which tell a kernel's width, V is as much larger, at most as it is of a single belief.
    """
    firm = replace(known, kernel_variance=known.kernel_variance / weight)
    found = least_squares_kernel(padded, firm)
    changed, expected = (
        squared(padded.transfer(found - known.prior_kernel)),
        firm.kernel_variance - firm.remaining(padded),
    )
    low = padded.columns(changed) * (padded.frequencies(changed) < _WIDTH)
    ratio = (changed * low).sum((-2, -1), keepdim=True) / (expected * low).sum((-2, -1), keepdim=True).clamp(min=1e-9)
    wider = ratio.clamp(1, max(1.0, weight))
    if not bool((wider > 1).any()):
        return found
    return least_squares_kernel(padded, replace(known, kernel_variance=wider * firm.kernel_variance))


def _parted(tiles: Tiles, measured: Measured) -> Measured:
    """Each tile's measurement on the tile's own grid."""
    padded, own = tiles.padded, tiles.own
    mask = measured.mask if measured.mask is not None else torch.ones_like(measured.values[:, :1])
    window = tiles.window(measured.values).sqrt()
    weight = (tiles.split(padded.observe(mask)).unflatten(0, (-1, len(window))) * window).flatten(0, 1)
    values = own.embed(tiles.split(padded.observe(measured.values)))
    noise_variance = measured.noise_variance.repeat_interleave(len(window), 0)
    return Measured(values, own.embed(weight), noise_variance)


def _variance(tiles: Tiles, known: Innovation, measured: Measured) -> Tensor:
    """Of what least squares leave uncertain in a tile's kernel, a frequency of twice its window."""
    own, (height, width) = tiles.own, tiles.sides
    share = measured.count / math.prod(own.size)
    precision = known.power * share + known.entries / known.kernel_variance
    near = own.inverse(precision).roll((height, width), (-2, -1))[..., : 2 * height, : 2 * width]
    away = [1 - (torch.arange(-side, side).to(near) / side).abs() for side in tiles.sides]
    tapered = (near * away[0][:, None] * away[1]).roll((-height, -width), (-2, -1))
    variance: Tensor = known.entries / torch.fft.rfft2(tapered).real.clamp(min=1e-9)
    return variance
