"""Large batches in chunks of rows, so that intermediate results fit into memory and into the caches of a CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_AT_ONCE = 2**18
"""Pixels in a chunk, at least one row of the batch: sixteen frames of 128x128."""


def chunks(shape: Sequence[int]) -> list[slice]:
    """Ranges of rows that together make up a batch of this shape, (B, ..., H, W)."""
    step = max(1, _AT_ONCE // (shape[-2] * shape[-1]))
    return [slice(start, min(start + step, shape[0])) for start in range(0, shape[0], step)]


def in_chunks(each: Callable[[slice], Tensor], shape: Sequence[int]) -> Tensor:
    """The results of `each` for all chunks of a batch of this shape, concatenated along the first dimension."""
    made = [each(rows) for rows in chunks(shape)]
    return made[0] if len(made) == 1 else torch.cat(made)
