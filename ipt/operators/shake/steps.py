"""The exact steps of `shake`: the kernels given the image's estimate, and the image given the kernels.

Those of `ipt.operators.blur.steps`, whose notation this is. A kernel is solved for in its own tile, as if it held
there, each pixel counting as the tile's window says; then neighbours are tied (`ipt.operators.shake.tie`). The image
solves the whole system, by conjugate gradients with the preconditioner of the kernels' mean power.
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
from ipt.operators.blur.steps import LOCKED, least_squares_kernel, peaked, sparse_kernel
from ipt.operators.blur.uncertainty import Innovation, error_spectrum, kernel_spectrum, lowered_noise
from ipt.operators.shake.tie import tied
from ipt.operators.shake.tiles import Tiles

_IMAGE_ITERATIONS = (8, 64)
_TOLERANCE = 0.0002
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
    padded, (height, width) = tiles.padded, tiles.sides
    # Here the common kernel alone says which pixels see too much that was not measured.
    measured = Innovation.of(padded, measured, image, common(belief)).measured
    parts = _parted(tiles, measured)
    grid = padded.extend(image.mean.to(measured.values))
    alone = replace(belief, mean=belief.mean.flatten(0, 1)[:, None])
    known = Innovation.of(tiles.own, parts, replace(image, mean=tiles.seen(grid)), alone, discount=False)
    # Each believes much the same. Tied, they would count it as often as there are tiles.
    known = replace(known, kernel_variance=tiles.count**2 / prior_weight * known.kernel_variance)
    solved = least_squares_kernel(tiles.own, known)
    variance = _variance(tiles, known, parts)
    mean = known.prior_kernel.unflatten(0, (-1, tiles.count**2)).mean(1)
    power = kernel_spectrum(replace(tiles.own, size=(2 * height, 2 * width)), mean)
    apart = (-1, tiles.count**2)
    solved = tied(solved[:, 0].unflatten(0, apart), variance[:, 0].unflatten(0, apart), power, tiles.places)
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
    change = conjugate_gradients(apply, right, None, iterations, precondition, _TOLERANCE)
    return (belief.mean + from_luma_chroma(change)).to(belief.mean)


def common(belief: Belief) -> Belief:
    """What is believed of the kernels' mean, (B, 1, h, w)."""
    return replace(belief, mean=belief.mean.mean(1, keepdim=True))


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
