"""How a solve with kernels continues: with a kernel for each part of the picture, or at twice the picture's sides."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ipt.operators.blur.centring import doubled
from ipt.operators.blur.steps import peaked
from ipt.operators.blur.windows import WIDEST
from ipt.sampling.continuing import Continuation


def with_tiles(kernel: Tensor, tiles: int, margin: int | None) -> Continuation:
    """`shake`, every tile of which begins with the same kernel.

    Args:
        kernel: (1, 1, h, w).
        tiles: along each side of the frame.
        margin: as of `blur`.
    """
    start = {"kernel": peaked(kernel).repeat(1, tiles**2, 1, 1)}
    return Continuation("shake", {"tiles": tiles, "kernel_size": tuple(kernel.shape[-2:]), "margin": margin}, start)


def at_twice_the_sides(
    kernel: Tensor, sides: tuple[int, int] | None, margin: int | None, most: int = WIDEST
) -> Continuation:
    """`blur` or `shake` for a picture of twice the sides, with the same tiles.

    Args:
        kernel: one for each tile of the smaller picture, (1, tiles * tiles, h, w).
        sides: (height, width) of the larger kernels; None: twice the smaller ones', at most `most`.
        margin: as of `blur`, of the larger picture.
        most: most pixels of a side.
    """
    sides = sides or (min(most, 2 * kernel.shape[-2]), min(most, 2 * kernel.shape[-1]))
    options: dict[str, object] = {"kernel_size": sides, "margin": margin}
    start = {"kernel": doubled(kernel, sides)}
    if kernel.shape[1] == 1:
        return Continuation("blur", options, start)
    return Continuation("shake", {"tiles": math.isqrt(kernel.shape[1]), **options}, start)


def extent(kernel: Tensor) -> float:
    """The length in pixels of a line that is as wide as a kernel (1, 1, h, w): of the same variance."""
    mass = kernel[0, 0] / kernel.sum().clamp(min=1e-8)
    variance = 0.0
    for profile in (mass.sum(0), mass.sum(1)):
        place = torch.arange(len(profile)).to(profile)
        variance += float((profile * (place - (profile * place).sum()).square()).sum())
    return math.sqrt(12 * variance)
