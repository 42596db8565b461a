"""Properties that every mean of blur kernels has, and that a network's estimates are made to have.

A denoiser's estimate is the mean of the kernels that may be behind the noise. If each of them is non-negative with its
centroid on the centre pixel, so is their mean, whatever their sums, because both properties are linear. A network's
estimate only has them approximately. What enforcing them costs and gains is in the card of the prior `kernel` and in
docs/method.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_ROUNDS = 4
"""Iterations of `centred`."""
_TOLERANCE = 1e-3
"""Change of an entry by `centred`, over the largest entry, up to which a kernel counts as centred."""
_FAINT, _FINE = 0.003, 0.075
"""Where the noise level is below `_FINE`, entries below the share `_FAINT` of the largest are the network's error:
docs/method.md, Constants. At higher levels the mean of many possible kernels has entries as faint as that."""


def centred(kernels: Tensor) -> Tensor:
    """The nearest non-negative kernels (B, 1, h, w) with their centroid on the centre pixel.

    The distance is the mean square weighted by 1 / entry, so that zeros remain zeros. Its minimum multiplies each entry
    by 1 - (a y + b x), with (y, x) its offset from the centre pixel (h // 2, w // 2). Where an entry becomes negative
    it is set to 0, and the step repeated. The map is differentiable, and leaves kernels of zeros as they are.
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
        # A line has no extent across itself, so a small variance in square pixels is added to avoid a division by 0.
        yy, xx = _sum(rows * y.square()) + 1e-4, _sum(columns * x.square()) + 1e-4
        determinant = yy * xx - xy.square()
        a, b = (xx * down - xy * right) / determinant, (yy * right - xy * down) / determinant
        kept = (kept * (1 - a * y - b * x)).clamp(min=0)
    return kept


def without_pedestal(kernels: Tensor, level: float) -> Tensor:
    """A network's estimates without negative entries and, at low noise levels, without faint ones.

    Args:
        kernels: physical kernels with largest entries of about 1, (B, 1, h, w).
        level: noise level through which they were seen, in the same units.
    """
    kept = kernels.clamp(min=0)
    if level >= _FINE:
        return kept
    return torch.where(kept < _FAINT * kept.amax((-2, -1), keepdim=True), 0, kept)


def are_kernels(examples: Sequence[Tensor]) -> bool:
    """Whether all examples (N, 1, h, w), in physical units, are non-negative and centred (`centred`)."""
    return all(
        group.shape[1] == 1 and bool((centred(group) - group).abs().max() <= _TOLERANCE * group.max())
        for group in examples
    )


def _sum(values: Tensor) -> Tensor:
    return values.sum((-3, -2, -1), keepdim=True)
