"""What generators have in common: random numbers from seeds, distributions over intervals, checks of options."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from ipt.core.errors import IptError
from ipt.core.operator import Generator


class Sequential(ABC):
    """A generator whose draws for the frames of a clip may depend on each other."""

    @abstractmethod
    def sequence(self, seed: int, frames: int, shape: tuple[int, ...]) -> Tensor | None:
        """Draws for all frames, (frames, S, *shape), at S instants of each exposure; None: frames are independent."""


def uniform_and_normal(seeds: Sequence[int], uniforms: int, normals: int) -> tuple[Tensor, Tensor]:
    """Uniform numbers in 0..1, (B, uniforms), and standard normal ones, (B, normals): a row of each for every seed."""
    rows = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(int(seed))
        rows.append((torch.rand(uniforms, generator=generator), torch.randn(normals, generator=generator)))
    return torch.stack([u for u, _ in rows]), torch.stack([n for _, n in rows])


def interval(name: str, value: Sequence[float] | float, low: float, high: float) -> tuple[float, float]:
    """The interval (low, high) that an option gives, where a single number stands for both.

    Args:
        name: the option's name, for the error.
        value: the option's value.
        low: least allowed value.
        high: largest allowed value.

    Raises:
        IptError: not an interval within low..high.
    """
    ends = (value, value) if isinstance(value, (int, float)) else tuple(value)
    if len(ends) != 2 or not low <= ends[0] <= ends[1] <= high:
        raise IptError(
            f"{name} must be an interval within {low:g}..{high:g}, not {value}: give (low, high), or one number"
        )
    return float(ends[0]), float(ends[1])


def log_uniform(bounds: tuple[float, float], uniform: Tensor) -> Tensor:
    """Numbers distributed log-uniformly within bounds above 0, from uniform ones in 0..1."""
    low, high = bounds
    return low * (high / low) ** uniform


def check_positive(name: str, value: float, unit: str = "") -> None:
    """IptError unless the value of an option is a finite number above 0."""
    usual = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not usual or not 0 < value < math.inf:
        raise IptError(f"{name} is a number above 0{f', in {unit}' if unit else ''}, not {value!r}")


class FrameGenerator(ABC):
    """A generator whose draws depend on the size of the picture."""

    @abstractmethod
    def within(self, frame: tuple[int, int]) -> Generator:
        """This generator, for a picture of (height, width) pixels."""
