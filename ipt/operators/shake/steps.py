"""The exact steps of `shake`: the kernels given the image's estimate, and the image given the kernels.

They extend those of `ipt.operators.blur.steps`, whose notation is used here. The kernel K_r of tile r is a common
kernel plus a difference:

    K_r = C + d_r,   sum_r d_r = 0

    1. C      The beliefs about the tiles are nearly the same belief, so they count together for C, not once for each
              tile. C is the kernel that `blur` finds for the whole frame, after the believed differences are
              subtracted from the measurement, y - sum_r w_r (d_r * x).
    2. K_r    Each kernel is solved for in its own tile, about C plus the believed difference, as if it held in all of
              the tile. Pixels are weighted by the tile's window.
    3. d_r    The differences are filtered over neighbouring tiles (`ipt.operators.shake.coupling`).

The image step solves the whole system by conjugate gradients. Its preconditioner is the system of a single kernel with
the kernels' mean power spectrum.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from ipt.core.abilities import Belief
from ipt.linalg.spectra import from_luma_chroma, to_luma_chroma
from ipt.operators.blur.centring import recentred
from ipt.operators.blur.kernel_error import kernel_spectrum
from ipt.operators.blur.masked_system import MaskedSystem
from ipt.operators.blur.measured import Measured, squared
from ipt.operators.blur.padded_frame import PaddedFrame
from ipt.operators.blur.steps import LOCKED, image_tolerance, least_squares_kernel, peaked, sparse_kernel
from ipt.operators.blur.uncertainty import Innovation, error_spectrum, lowered_noise
from ipt.operators.shake.coupling import coupled
from ipt.operators.shake.filter_flow import filter_flow
from ipt.operators.shake.tiles import Tiles

APART = 0.075
"""Noise level of the image, in units of 0..1, above which all kernels are equal: docs/method.md, Shake."""
_WIDTH = 0.08
"""Frequency in cycles per pixel below which a kernel's spectrum is determined by the kernel's width."""
_IMAGE_ITERATIONS = (8, 64)
"""Most iterations of the image step: with unknown kernels, and with known ones, as in `blur`."""


def solve_kernels(tiles: Tiles, measured: Measured, image: Belief, belief: Belief, prior_weight: float) -> Tensor:
    """The kernels (B, tiles, h, w): non-negative, the largest entry of each 1, centred together.

    Args:
        tiles: geometry of the tiles.
        measured: the measurement on the whole grid.
        image: belief about the image.
        belief: belief about the kernels, (B, tiles, h, w).
        prior_weight: how many times the belief of one kernel counts for all tiles together.
    """
    padded = tiles.padded
    believed = _valid(belief.mean.to(measured.values))
    if image.sigma > APART:
        shared = _common_kernel(padded, Innovation.of(padded, measured, image, common(belief)), prior_weight)
        return peaked(recentred(sparse_kernel(shared, image.sigma), image.sigma)).expand_as(believed).to(belief.mean)
    differences = believed - believed.mean(1, keepdim=True)
    grid = padded.extend(image.mean.to(measured.values))
    explained = filter_flow(tiles, differences).forward(torch.fft.rfft2(to_luma_chroma(grid)))
    rest = replace(measured, values=measured.values - explained)
    known = Innovation.of(padded, rest, image, common(belief))
    shared = _common_kernel(padded, known, prior_weight)

    weighted = replace(measured, mask=known.measured.mask)
    in_tiles = replace(image, mean=tiles.extract(grid))
    found, variance = _kernels_alone(tiles, weighted, in_tiles, belief, shared + differences, prior_weight)
    twice_the_window = replace(tiles.tile_frame, size=(2 * tiles.sides[0], 2 * tiles.sides[1]))
    power = kernel_spectrum(twice_the_window, believed.mean(1, keepdim=True))
    solved = shared + coupled(found - shared, variance, power, tiles.nodes)
    return peaked(recentred(sparse_kernel(solved, image.sigma), image.sigma)).to(belief.mean)


def _kernels_alone(
    tiles: Tiles, measured: Measured, image: Belief, belief: Belief, prior: Tensor, prior_weight: float
) -> tuple[Tensor, Tensor]:
    """Each kernel as its own tile shows it, (B, tiles, h, w), and the variance of its error.

    Args:
        tiles: geometry of the tiles.
        measured: the measurement on the whole grid.
        image: belief about the tiles' inputs, (B * tiles, C, ...).
        belief: belief about the kernels, (B, tiles, h, w).
        prior: the kernels about which is solved, sum 1 each, (B, tiles, h, w).
        prior_weight: as in `solve_kernels`.

    Returns:
        The kernels; and the variance by frequency, on a grid of twice the window, (B, tiles, 2 h, w + 1).
    """
    by_tile = (-1, tiles.count**2)
    in_tiles = _measured_in_tiles(tiles, measured)
    alone = replace(belief, mean=belief.mean.flatten(0, 1)[:, None])
    known = Innovation.of(tiles.tile_frame, in_tiles, image, alone, discount=False)
    kernel = prior.flatten(0, 1)[:, None]
    known = replace(
        known,
        prior_kernel=kernel,
        prior_transfer=tiles.tile_frame.transfer(kernel),
        kernel_variance=tiles.count**2 / prior_weight * known.kernel_variance,
    )
    found = least_squares_kernel(tiles.tile_frame, known)[:, 0].unflatten(0, by_tile)
    return found, _variance(tiles, known, in_tiles)[:, 0].unflatten(0, by_tile)


def solve_image(
    tiles: Tiles, measured: Measured, belief: Belief, kernels: Tensor, kernel_belief: Belief | None
) -> Tensor:
    """The image (B, C, H, W) given valid kernels: minimiser of ||M (y - A x)||^2 / noise + ||x - mean||^2 / E.

    Args:
        tiles: geometry of the tiles.
        measured: the measurement on the whole grid.
        belief: belief about the image.
        kernels: non-negative, sum 1 each, (B, tiles, h, w).
        kernel_belief: belief about them before the kernel step; None if they are known.
    """
    padded, kernels = tiles.padded, kernels.to(measured.values)
    mean = to_luma_chroma(belief.mean.to(measured.values))
    flow = filter_flow(tiles, kernels)
    error, picture = error_spectrum(padded, belief, mean), torch.fft.rfft2(padded.extend(mean))
    power = torch.stack([squared(padded.transfer(each[:, None])) for each in kernels.unbind(1)]).mean(0)
    predicted = flow.forward(picture)
    if kernel_belief is None:
        noise = lowered_noise(padded, measured, predicted, error * power)
    else:
        known = Innovation.of(padded, measured, belief, common(kernel_belief), predicted[:, :1])
        uncertain = LOCKED * known.remaining(padded)
        noise = measured.noise_variance + (squared(picture) / math.prod(padded.size) + error) * uncertain
    gain = 1 / (power / noise + 1 / error)
    system = MaskedSystem(padded, measured, flow.forward, flow.adjoint, noise, error, gain)
    iterations, tolerance = _IMAGE_ITERATIONS[kernel_belief is None], image_tolerance(belief, kernel_belief)
    change = system.solve(measured.values - predicted, iterations, tolerance)
    return (belief.mean + from_luma_chroma(change)).to(belief.mean)


def common(belief: Belief) -> Belief:
    """The belief about the common kernel, (B, 1, h, w): the mean of the kernels, each normalised to the same sum."""
    total = belief.mean.clamp(min=0).sum((-2, -1), keepdim=True).mean(1, keepdim=True)
    return replace(belief, mean=total * _valid(belief.mean).mean(1, keepdim=True))


def _valid(kernels: Tensor) -> Tensor:
    """Kernels (B, tiles, h, w) without negative entries, each of sum 1."""
    positive = kernels.clamp(min=0)
    return positive / positive.sum((-2, -1), keepdim=True).clamp(min=1e-8)


def _common_kernel(padded: PaddedFrame, known: Innovation, weight: float) -> Tensor:
    """The common kernel C, (B, 1, h, w): that of `blur`, with a belief that counts up to `weight` times.

    Least squares are expected to change a belief of variance V by the variance V - V', V' being what remains. Where the
    change at the lowest frequencies, which show a kernel's width, is larger than that, V is scaled up by the ratio, but
    not beyond that of a single belief.
    """
    firm = replace(known, kernel_variance=known.kernel_variance / weight)
    found = least_squares_kernel(padded, firm)
    changed = squared(padded.transfer(found - known.prior_kernel))
    expected = firm.kernel_variance - firm.remaining(padded)
    low = padded.columns(changed) * (padded.frequencies(changed) < _WIDTH)
    ratio = (changed * low).sum((-2, -1), keepdim=True) / (expected * low).sum((-2, -1), keepdim=True).clamp(min=1e-9)
    wider = ratio.clamp(1, max(1.0, weight))
    if not bool((wider > 1).any()):
        return found
    return least_squares_kernel(padded, replace(known, kernel_variance=wider * firm.kernel_variance))


def _measured_in_tiles(tiles: Tiles, measured: Measured) -> Measured:
    """The measurement of each tile on a grid of its own, (B * tiles, C, ...), weighted by the root of its window."""
    padded, own = tiles.padded, tiles.tile_frame
    mask = measured.mask if measured.mask is not None else torch.ones_like(measured.values[:, :1])
    window = tiles.window(measured.values).sqrt()
    weight = (tiles.split(padded.observe(mask)).unflatten(0, (-1, len(window))) * window).flatten(0, 1)
    values = own.embed(tiles.split(padded.observe(measured.values)))
    noise_variance = measured.noise_variance.repeat_interleave(len(window), 0)
    return Measured(values, own.embed(weight), noise_variance)


def _variance(tiles: Tiles, known: Innovation, measured: Measured) -> Tensor:
    """Variance of the error of each tile's kernel by frequency, on a grid of twice its window, (., 1, 2 h, w + 1)."""
    own, (height, width) = tiles.tile_frame, tiles.sides
    share = measured.count / math.prod(own.size)
    precision = known.power * share + known.entries / known.kernel_variance
    near = own.inverse(precision).roll((height, width), (-2, -1))[..., : 2 * height, : 2 * width]
    away = [1 - (torch.arange(-side, side).to(near) / side).abs() for side in tiles.sides]
    tapered = (near * away[0][:, None] * away[1]).roll((-height, -width), (-2, -1))
    variance: Tensor = known.entries / torch.fft.rfft2(tapered).real.clamp(min=1e-9)
    return variance
