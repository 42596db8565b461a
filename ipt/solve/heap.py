"""What a solve asks of the C library's heap."""

from __future__ import annotations

import torch

_BLOCK = 31 * 2**20
"""Bytes: just below the largest block from which glibc learns."""


def keep_freed_memory() -> None:
    """Have the process keep the memory that a step of a solve frees, because the next step asks for as much again.

    glibc returns freed memory to the system beyond twice the largest block that was freed so far. Pictures of 256x256
    are small blocks, so the same pages would be given back and cleared for us again: 230,000 to 380,000 page faults
    in a solve of 256x256, and 54,000 without. One large block, never written to, raises the limit to 62 MiB. With
    other C libraries nothing changes.

    References:
        mallopt(3), M_MMAP_THRESHOLD, "dynamic mmap threshold".
    """
    torch.empty(_BLOCK, dtype=torch.uint8)
