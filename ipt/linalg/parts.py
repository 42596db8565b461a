"""Large batches in parts, whose intermediate results then fit into little memory, and into the caches of a CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_AT_ONCE = 2**18
"""Pixels of the rows that are worked on together, at least one: twelve frames of 128x128."""


def parts(shape: Sequence[int]) -> list[slice]:
    """The rows of a batch (B, ..., H, W) that are worked on together."""
    step = max(1, _AT_ONCE // (shape[-2] * shape[-1]))
    return [slice(start, min(start + step, shape[0])) for start in range(0, shape[0], step)]


def in_parts(each: Callable[[slice], Tensor], shape: Sequence[int]) -> Tensor:
    """What `each` makes of the rows of a batch of this shape, one below the other."""
    made = [each(rows) for rows in parts(shape)]
    return made[0] if len(made) == 1 else torch.cat(made)
