"""Sources of training examples: arrays of pictures, and generators of operator parameters.

Batch n of a source is always the same, so that a training that is killed and continued sees the same examples as an
undisturbed one. Nothing but torch and numpy is needed.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ipt.core.errors import IptError, plural
from ipt.core.operator import Generator
from ipt.linalg.random import image_seed
from ipt.priors.kernels import are_kernels

_INSPECTED = 64
"""Number of examples that tell whether a generator draws blur kernels."""


class Source(ABC):
    """Training and validation examples in normalised units, about -1..1. `str(source)` describes them for a card.

    Attributes:
        channels: of every example.
        sides: the (height, width) of examples, as far as they are known.
        kernels: whether all examples are blur kernels (`ipt.priors.kernels`).
    """

    channels: int
    sides: tuple[tuple[int, int], ...] = ()
    kernels: bool = False

    @abstractmethod
    def batch(self, seed: int, number: int, count: int) -> Tensor:
        """Training batch `number` of the training `seed`: float (count, C, H, W), on any device."""

    @abstractmethod
    def validation(self, count: int) -> list[Tensor]:
        """At most `count` examples that are in no training batch, one tensor (N, C, H, W) per size."""

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """JSON values that identify the examples; a training can only be continued with the same."""


class ArraySource(Source):
    """Pictures in one array, the first of them for validation.

    Args:
        pictures: uint8 (N, H, W, C), as `numpy.load(..., mmap_mode="r")` gives it.
        held_out: Number of pictures, the first ones, for validation.
        mirror: Whether training pictures are mirrored at random.
        name: For the model card.
        device: Where bytes are converted to floats.

    Raises:
        IptError: The array has another dtype or shape, or no picture is left for training or validation.
    """

    def __init__(
        self,
        pictures: np.ndarray,
        held_out: int = 500,
        mirror: bool = True,
        name: str = "an array",
        device: str | torch.device = "cpu",
    ):
        if pictures.ndim != 4 or pictures.dtype != np.uint8:
            raise IptError(f"pictures are uint8 (N, H, W, C), not {pictures.dtype} {pictures.shape}: convert the array")
        if held_out < 1:
            raise IptError(f"{held_out} pictures held out: validation needs one at least")
        if len(pictures) <= held_out:
            raise IptError(
                f"{len(pictures)} pictures, {held_out} of them held out for validation: none is left to train on.\n"
                f"Give more pictures, or hold out fewer (held_out=)."
            )
        self.pictures, self.held_out, self.mirror, self.name = pictures, held_out, mirror, name
        self.channels, self.device = pictures.shape[-1], torch.device(device)
        self.sides = ((pictures.shape[1], pictures.shape[2]),)

    def __str__(self) -> str:
        (height, width), mirrored = self.sides[0], ", mirrored at random" if self.mirror else ""
        return (
            f"{len(self.pictures):,} pictures of {width} x {height} px in {plural(self.channels, 'channel')} "
            f"({self.name}); the first {self.held_out:,} held out for validation{mirrored}"
        )

    def batch(self, seed: int, number: int, count: int) -> Tensor:
        total = len(self.pictures) - self.held_out
        # Epochs are drawn without replacement: batch n is a slice of an endless list of shuffled epochs.
        index = []
        for position in range(number * count, (number + 1) * count):
            epoch, place = divmod(position, total)
            index.append(self.held_out + _permuted(place, total, image_seed(seed, f"epoch {epoch}")))
        pictures = self._normalised(self.pictures[np.sort(index)])
        if self.mirror:
            flips = torch.from_numpy(np.random.default_rng([seed, number]).random(count) < 0.5).to(self.device)
            pictures = torch.where(flips[:, None, None, None], pictures.flip(-1), pictures)
        return pictures

    def validation(self, count: int) -> list[Tensor]:
        return [self._normalised(np.array(self.pictures[: min(count, self.held_out)]))]

    def identity(self) -> dict[str, Any]:
        # A digest of a few pictures: hashing all would read the whole array before the first step.
        places = np.unique(np.linspace(0, len(self.pictures) - 1, 16).astype(int))
        digest = hashlib.sha256(self.pictures[places].tobytes()).hexdigest()[:16]
        own = {"pictures": list(self.pictures.shape), "digest": digest}
        return {**own, "held_out": self.held_out, "mirror": self.mirror}

    def _normalised(self, pictures: np.ndarray) -> Tensor:
        found = torch.from_numpy(pictures).to(self.device)
        return found.permute(0, 3, 1, 2).float() / 127.5 - 1


class GeneratorSource(Source):
    """Operator parameters from a generator, scaled so that each example's largest entry is 1, then to -1..1.

    Args:
        generator: Of the parameters.
        sizes: Sides in pixels; each batch has one of them, with equal probability.
        channels: Of an example.
        name: For the model card, and to identify the generator when a training is continued; None: its class.

    Raises:
        IptError: There is no size, or the generator draws another number of channels.
    """

    def __init__(
        self,
        generator: Generator,
        sizes: Sequence[int] = (16, 24, 32, 48, 64),
        channels: int = 1,
        name: str | None = None,
    ):
        if not sizes or min(sizes) < 1:
            raise IptError(f"a generator draws at one size in pixels or more, not {tuple(sizes)}")
        self.generator, self.sizes, self.channels = generator, tuple(sizes), channels
        self.name = name or type(generator).__name__
        self.sides = tuple((size, size) for size in self.sizes)
        drawn = generator.sample([1], (channels, self.sizes[0], self.sizes[0]))
        if drawn.shape[1] != channels:
            raise IptError(
                f"{self.name} draws {plural(drawn.shape[1], 'channel')}, not {channels}: choose that (channels=)"
            )
        self.kernels = are_kernels([(one + 1) / 2 for one in self.validation(_INSPECTED)])

    def __str__(self) -> str:
        return f"Drawn by the generator {self.name} at {', '.join(map(str, self.sizes))} pixels, without end"

    def batch(self, seed: int, number: int, count: int) -> Tensor:
        choice = np.random.default_rng([seed, number])
        size = int(choice.choice(self.sizes))
        # Training seeds are even, validation seeds odd.
        seeds = [2 * int(s) for s in choice.integers(0, 2**61, count)]
        return self._draw(seeds, size)

    def validation(self, count: int) -> list[Tensor]:
        share = max(1, count // len(self.sizes))
        return [self._draw([2 * i + 1 for i in range(share)], size) for size in self.sizes]

    def identity(self) -> dict[str, Any]:
        return {"generator": self.name, "sizes": list(self.sizes), "channels": self.channels}

    def _draw(self, seeds: Sequence[int], size: int) -> Tensor:
        drawn = self.generator.sample(seeds, (self.channels, size, size))
        return 2 * drawn / drawn.amax((-3, -2, -1), keepdim=True) - 1


def _permuted(place: int, total: int, seed: int) -> int:
    """Entry `place` of a random permutation of range(total): a Feistel network, iterated until it is in range."""
    half = max(1, ((total - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    value = place
    while True:
        left, right = value >> half, value & mask
        for round_ in range(4):
            mixed = (right * 0x9E3779B1 + (seed >> (8 * round_)) * 0x85EBCA6B + round_) & 0xFFFFFFFF
            mixed ^= mixed >> 15
            mixed = (mixed * 0xC2B2AE35) & 0xFFFFFFFF
            left, right = right, left ^ ((mixed ^ (mixed >> 13)) & mask)
        value = (left << half) | right
        if value < total:
            return value
