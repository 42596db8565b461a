"""Sequences of noise levels: sigma in the variance-exploding convention, falling, the last one 0.

A variance-preserving process x_vp = sqrt(abar) z has sigma = sqrt((1 - abar) / abar) on z.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from ipt.core.sampling import Schedule

_LEFT = 0.1
"""Of the noise level that a larger picture begins with: the smaller one ends there (docs/method.md, Constants)."""


@dataclass(frozen=True)
class Karras(Schedule):
    """sigma_i = (max^(1/rho) + i/(N-1) (min^(1/rho) - max^(1/rho)))^rho (EDM, arXiv 2206.00364, equation 5)."""

    steps: int = 100
    sigma_max: float = 80.0
    sigma_min: float = 0.02
    rho: float = 7.0

    def __post_init__(self) -> None:
        if self.steps < 1 or not 0 < self.sigma_min < self.sigma_max or self.rho <= 0:
            raise ValueError(f"a Karras schedule needs steps >= 1, 0 < sigma_min < sigma_max and rho > 0, not {self}")

    def sigmas(self) -> Tensor:
        place = torch.linspace(0, 1, self.steps, dtype=torch.float64)
        high, low = self.sigma_max ** (1 / self.rho), self.sigma_min ** (1 / self.rho)
        levels = (high + place * (low - high)) ** self.rho
        return torch.cat([levels, levels.new_zeros(1)])


@dataclass(frozen=True)
class VP(Schedule):
    """The discrete variance-preserving process, whole or an evenly spaced subset.

    Attributes:
        steps: of the subset (None: all of the process); both ends are kept, and of a single step the noisy one.
        betas: "linear" (Ho et al., arXiv 2006.11239: 1e-4 to .02 over 1000 steps, scaled by 1000 / length) or "cosine"
            (Nichol, Dhariwal, arXiv 2102.09672, equation 17), never above .999.
        length: of the whole process.
    """

    steps: int | None = None
    betas: str = "linear"
    length: int = 1000

    def __post_init__(self) -> None:
        if self.betas not in ("linear", "cosine"):
            raise ValueError(f"betas is linear or cosine, not {self.betas!r}")
        if self.length < 2 or not 1 <= self._count() <= self.length:
            raise ValueError(f"a VP schedule needs 1 <= steps <= length and length >= 2, not {self}")

    def alphas_bar(self) -> Tensor:
        """The products abar of the whole process, (length,) in float64, falling."""
        if self.betas == "linear":
            scale = 1000 / self.length
            betas = torch.linspace(scale * 1e-4, scale * 0.02, self.length, dtype=torch.float64)
        else:
            edges = torch.arange(self.length + 1, dtype=torch.float64) / self.length
            bar = ((edges + 0.008) / 1.008 * math.pi / 2).cos() ** 2
            betas = 1 - bar[1:] / bar[:-1]
        return (1 - betas.clamp(max=0.999)).cumprod(0)

    def timesteps(self) -> Tensor:
        """Indices into the whole process that the subset keeps, rising."""
        # Counted from the noisy end, so that a single step starts from noise.
        return torch.linspace(self.length - 1, 0, self._count(), dtype=torch.float64).round().long().flip(0)

    def _count(self) -> int:
        return self.length if self.steps is None else self.steps

    def sigmas(self) -> Tensor:
        bar = self.alphas_bar()[self.timesteps()].flip(0)
        levels = ((1 - bar) / bar).sqrt()
        return torch.cat([levels, levels.new_zeros(1)])


@dataclass(frozen=True)
class Tail(Schedule):
    """Another schedule from the first level on that is at most `start`, with at least one step.

    Attributes:
        schedule: the other one.
        start: a noise level.
        most: steps at most, evenly chosen, the first and the last among them; None: all.
        finer: what the last level above 0 is divided by, and those between it and the first by ever less.
        end: a noise level; lower ones are left out, but for the first and the 0 at the end.
    """

    schedule: Schedule
    start: float
    most: int | None = None
    finer: float = 1.0
    end: float = 0.0

    def sigmas(self) -> Tensor:
        levels = self.schedule.sigmas()
        levels = levels[min(int((levels > self.start).sum()), len(levels) - 2) :]
        levels = levels[[*range(max(1, int((levels[:-1] >= self.end).sum()))), len(levels) - 1]]
        steps = len(levels) - 1
        if self.most is not None and steps > self.most:
            levels = levels[[*torch.linspace(0, steps - 1, self.most).round().long().tolist(), steps]]
        levels[:-1] /= self.finer ** torch.linspace(0, 1, len(levels) - 1, dtype=levels.dtype)
        return levels


def cascade(schedule: Schedule, starts: Sequence[float | None]) -> list[Schedule]:
    """A schedule's parts for pictures of several sizes, each of which begins with what the one before came to.

    What is far below the noise that the next size begins with is not solved for.

    Args:
        schedule: the whole.
        starts: the level that each size begins at, from the smallest picture up; None: the first of all.
    """
    found = []
    for start, following in pairwise([*starts, None]):
        end = 0.0 if following is None else _LEFT * following
        found.append(Tail(schedule, math.inf if start is None else start, end=end) if start or end else schedule)
    return found
