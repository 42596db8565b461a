"""What generators share: random numbers, a row for each seed, and the checks of their options."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from ipt.core.errors import IptError
from ipt.core.operator import Generator


class Sequential(ABC):
    """A generator whose draws for the frames of a clip may hang together."""

    @abstractmethod
    def sequence(self, seed: int, frames: int, shape: tuple[int, ...]) -> Tensor | None:
        """(frames, S, *shape): at S instants while each frame is exposed; None: every frame is a draw of its own."""


def uniform_and_normal(seeds: Sequence[int], uniforms: int, normals: int) -> tuple[Tensor, Tensor]:
    """A row of uniform and a row of normal numbers for each seed, (B, uniforms) and (B, normals)."""
    rows = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(int(seed))
        rows.append((torch.rand(uniforms, generator=generator), torch.randn(normals, generator=generator)))
    return torch.stack([u for u, _ in rows]), torch.stack([n for _, n in rows])


def interval(name: str, value: Sequence[float] | float, low: float, high: float) -> tuple[float, float]:
    """(low, high) as given; a single number is both."""
    ends = (value, value) if isinstance(value, (int, float)) else tuple(value)
    if len(ends) != 2 or not low <= ends[0] <= ends[1] <= high:
        raise IptError(
            f"{name} must be an interval within {low:g}..{high:g}, not {value}: give (low, high), or one number"
        )
    return float(ends[0]), float(ends[1])


def positive(name: str, value: float, unit: str = "") -> None:
    """IptError unless the value is a number above 0."""
    usual = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not usual or not 0 < value < math.inf:
        raise IptError(f"{name} is a number above 0{f', in {unit}' if unit else ''}, not {value!r}")


class FrameGenerator(ABC):
    """A generator whose draws depend on the size of the picture."""

    @abstractmethod
    def within(self, frame: tuple[int, int]) -> Generator:
        """This generator for a picture of (height, width) pixels."""
