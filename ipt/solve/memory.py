"""How many draws are solved together, and what happens when they do not fit."""

from __future__ import annotations

from collections.abc import Callable

import torch

_CPU_PIXELS = 2**15
"""Together on a CPU: 8 draws at 64x64, which take .6 of the time that they take one by one (prior `faces`, a thread).
Larger pictures have less to gain and more memory to fill."""
_GPU_PIXELS = 2**22
"""Together on a GPU, to begin with: 64 draws at 256x256."""
MOST = 256
"""Draws together that "auto" never exceeds."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says so; torch's CPU allocator raises a plain RuntimeError."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and ("allocate memory" in str(error) or "enough memory" in str(error))


class Room:
    """How many draws of a shape (C, H, W) are solved together: so many as `asked` (None: as a GPU, or one core of a
    CPU, has use for), and half of it each time that memory does not suffice.

    A function of the shape and of what failed before alone, never of the memory that happens to be free, so that a run
    that is continued forms the same batches. tell: called with a sentence when memory did not suffice.
    """

    def __init__(self, asked: int | None = None, device: str = "cpu", tell: Callable[[str], None] | None = None):
        self.asked, self.device, self.tell = asked, device, tell
        self._found: dict[tuple[int, ...], int] = {}

    def draws(self, shape: tuple[int, ...]) -> int:
        pixels = _GPU_PIXELS if self.device.startswith("cuda") else _CPU_PIXELS
        usual = min(MOST, max(1, pixels // (shape[-2] * shape[-1])))
        return self._found.get(shape, usual if self.asked is None else self.asked)

    def halve(self, shape: tuple[int, ...], tried: int) -> None:
        """So many did not fit; call it when nothing holds their tensors any more."""
        self._found[shape] = max(1, tried // 2)
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()
        if self.tell is not None:
            size = f"{shape[-1]} x {shape[-2]} px"
            self.tell(f"out of memory with {tried} at once at {size}; going on with {self._found[shape]}")
