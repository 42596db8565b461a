"""How many draws are solved together, so that they fit into memory."""

from __future__ import annotations

from collections.abc import Callable

import torch

_CPU_PIXELS = 2**15
"""Pixels of a batch on a CPU: 8 draws at 64x64, which take .6 of the time of single ones."""
_GPU_PIXELS = 2**22
"""Pixels of a batch on a GPU, before any was too large: 64 draws at 256x256."""
LARGEST_BATCH = 256
"""Most draws of a batch, unless more are asked for."""


class BatchSizer:
    """How many draws of a shape are solved together.

    It depends on the shape and on what ran out of memory before, not on the memory that is free at the moment, so that
    a resumed run forms the same batches.

    Args:
        asked: number of draws; None: as many as the device can use.
        device: a torch device.
        note: called with a sentence when memory did not suffice.
    """

    def __init__(self, asked: int | None = None, device: str = "cpu", note: Callable[[str], None] | None = None):
        self.asked, self.device, self._note = asked, device, note
        self._halved: dict[tuple[int, ...], int] = {}

    def size(self, shape: tuple[int, ...]) -> int:
        """The number of draws of a shape (C, H, W) in a batch."""
        pixels = _GPU_PIXELS if self.device.startswith("cuda") else _CPU_PIXELS
        usual = min(LARGEST_BATCH, max(1, pixels // (shape[-2] * shape[-1])))
        return self._halved.get(shape, usual if self.asked is None else self.asked)

    def halve(self, shape: tuple[int, ...], tried: int) -> None:
        """Halve the batches of a shape, after `tried` draws did not fit; their tensors must have been freed before."""
        self._halved[shape] = max(1, tried // 2)
        size = f"{shape[-1]} x {shape[-2]} px"
        self.tell(f"out of memory with {tried} at once at {size}; going on with {self._halved[shape]}")

    def tell(self, sentence: str) -> None:
        """Note that memory did not suffice, and free what a GPU has cached."""
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()
        if self._note is not None:
            self._note(sentence)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory did not suffice; torch's CPU allocator raises a plain RuntimeError."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and ("allocate memory" in str(error) or "enough memory" in str(error))
