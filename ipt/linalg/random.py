"""Random numbers of single images: each has generators of its own, seeded from (run seed, image id).

Nothing in this package reads the global generator. So an image's result depends on its own seed alone, not on the batch
in which it is solved, on the order of the images, or on the number of machines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor


def image_seed(run_seed: int, image_id: str) -> int:
    """The seed (63 bits) of one image of a run; the same on every machine and Python."""
    digest = hashlib.sha256(f"{run_seed}\n{image_id}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(seed: int, name: str) -> torch.Generator:
    """The random stream of one unknown of one image. Streams are independent, so a new unknown changes no other."""
    return torch.Generator().manual_seed(image_seed(seed, name))


class Noise:
    """Standard normal noise for the unknowns of a batch, each image from its own seed.

    Numbers are drawn on the CPU and then moved, so that a seed gives the same picture on every device.
    """

    def __init__(self, seeds: Sequence[int]):
        self.seeds = tuple(int(seed) for seed in seeds)
        self._streams: dict[str, list[torch.Generator]] = {}

    def like(self, name: str, tensor: Tensor) -> Tensor:
        """Noise shaped like `tensor` (B, ...). Advances the streams of the unknown `name`."""
        if len(tensor) != len(self.seeds):
            raise ValueError(f"{len(self.seeds)} seeds for a batch of {len(tensor)} images")
        streams = self._streams.setdefault(name, [stream(seed, name) for seed in self.seeds])
        rows = [torch.randn(tensor.shape[1:], generator=generator, dtype=tensor.dtype) for generator in streams]
        return torch.stack(rows).to(tensor.device)

    def state(self) -> dict[str, list[Tensor]]:
        """The generators' states by unknown, one for each image: what `restore` needs to continue the streams."""
        return {name: [generator.get_state() for generator in streams] for name, streams in self._streams.items()}

    def restore(self, state: dict[str, list[Tensor]]) -> None:
        """Continue the streams from a `state`."""
        self._streams = {name: [_generator(saved) for saved in states] for name, states in state.items()}


def _generator(state: Tensor) -> torch.Generator:
    generator = torch.Generator()
    generator.set_state(state)
    return generator
