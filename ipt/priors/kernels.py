"""What is known of the mean of any blur kernels: nowhere negative, its centroid on the centre pixel, no pedestal.

A denoiser's estimate is the mean of the kernels that may lie behind the noise. Where each of them is non-negative and
has its centroid on the centre pixel, so has their mean, whatever their masses: both are linear. A network errs in
both; what holding it to them costs and gains is in the card of the prior `kernel` and in docs/method.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_ROUNDS = 4
_TOLERANCE = 1e-3
"""Of an entry, over the largest one."""
_FAINT, _FINE = 0.003, 0.075
"""Entries below this share of the largest are the network's error where the noise is below that level, of a peak of 1:
docs/method.md, Constants. With more noise a mean is as faint where many kernels may be."""


def centred(kernels: Tensor) -> Tensor:
    """The nearest kernels (B, 1, h, w) without negative entries and with their centroid on the centre pixel.

    Nearest in the mean square weighted by 1 / entry, so that what is not there stays so: each entry times
    1 - (a y + b x), y and x its place from the centre pixel (h // 2, w // 2), repeated where an entry would be
    negative. Differentiable. Kernels of nothing stay as they are.
    """
    height, width = kernels.shape[-2:]
    y = (torch.arange(height, device=kernels.device) - height // 2).to(kernels)[:, None]
    x = (torch.arange(width, device=kernels.device) - width // 2).to(kernels)
    kept = kernels.clamp(min=0)
    for _ in range(_ROUNDS):
        shares = kept / _sum(kept).clamp(min=torch.finfo(kernels.dtype).tiny)
        rows, columns = shares.sum(-1, keepdim=True), shares.sum(-2, keepdim=True)
        down, right = _sum(rows * y), _sum(columns * x)
        xy = _sum((shares * x).sum(-1, keepdim=True) * y)
        # A line has no extent across itself: a little, in square pixels, keeps the division there.
        yy, xx = _sum(rows * y.square()) + 1e-4, _sum(columns * x.square()) + 1e-4
        determinant = yy * xx - xy.square()
        a, b = (xx * down - xy * right) / determinant, (yy * right - xy * down) / determinant
        kept = (kept * (1 - a * y - b * x)).clamp(min=0)
    return kept


def without_pedestal(kernels: Tensor, level: float) -> Tensor:
    """A network's estimates (B, 1, h, w) without negative entries, and without faint ones where the noise is low.

    Args:
        kernels: physical, of a peak of about 1.
        level: of the noise that they were seen through, in the same units.
    """
    kept = kernels.clamp(min=0)
    if level >= _FINE:
        return kept
    return torch.where(kept < _FAINT * kept.amax((-2, -1), keepdim=True), 0, kept)


def are_kernels(examples: Sequence[Tensor]) -> bool:
    """Whether all examples (N, 1, h, w) in physical units are such that `centred` leaves them as they are."""
    return all(
        group.shape[1] == 1 and bool((centred(group) - group).abs().max() <= _TOLERANCE * group.max())
        for group in examples
    )


def _sum(values: Tensor) -> Tensor:
    return values.sum((-3, -2, -1), keepdim=True)
