"""Noise schedules: sequences of sigma in the variance-exploding convention, falling, the last one 0.

A variance-preserving process x_vp = sqrt(abar) z has the level sigma = sqrt((1 - abar) / abar) on z.
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
"""Level at which a smaller image ends, as a share of that at which the next begins (docs/method.md, Constants)."""


@dataclass(frozen=True)
class Karras(Schedule):
    """sigma_i = (max^(1/rho) + i/(N-1) (min^(1/rho) - max^(1/rho)))^rho (EDM, arXiv 2206.00364, equation 5).

    Attributes:
        steps: N, from 1 up.
        sigma_max: first level.
        sigma_min: last level before the 0, above 0 and below sigma_max.
        rho: above 0; the larger, the more of the levels are low.
    """

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
    """The levels of a discrete variance-preserving process: all, or an evenly spaced subset.

    Attributes:
        steps: number of levels in the subset, with both ends, or the noisy end alone for 1; None: all of the process.
        betas: "linear" (Ho et al., arXiv 2006.11239: 1e-4 to .02 over 1000 steps, scaled by 1000 / length) or "cosine"
            (Nichol, Dhariwal, arXiv 2102.09672, equation 17); never above .999.
        length: number of steps of the process, from 2 up.
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
        """The products abar of the whole process, (length,) float64, falling."""
        if self.betas == "linear":
            scale = 1000 / self.length
            betas = torch.linspace(scale * 1e-4, scale * 0.02, self.length, dtype=torch.float64)
        else:
            edges = torch.arange(self.length + 1, dtype=torch.float64) / self.length
            bar = ((edges + 0.008) / 1.008 * math.pi / 2).cos() ** 2
            betas = 1 - bar[1:] / bar[:-1]
        return (1 - betas.clamp(max=0.999)).cumprod(0)

    def timesteps(self) -> Tensor:
        """Indices of the subset in the whole process, rising."""
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
    """The end of another schedule, with at least one step.

    Attributes:
        schedule: the other schedule.
        start: its first level that is at most this one comes first.
        most: most steps, chosen evenly with the first and the last among them; None: all.
        finer: divisor of the last level above 0; the levels before it are divided by less, the first by 1.
        end: levels below this one are left out, except for the first and the final 0.
    """

    schedule: Schedule
    start: float
    most: int | None = None
    finer: float = 1.0
    end: float = 0.0

    def sigmas(self) -> Tensor:
        levels = self.schedule.sigmas()
        first = min(int((levels > self.start).sum()), len(levels) - 2)
        levels = levels[first:]
        kept = max(1, int((levels[:-1] >= self.end).sum()))
        levels = torch.cat([levels[:kept], levels[-1:]])
        if self.most is not None and kept > self.most:
            chosen = torch.linspace(0, kept - 1, self.most).round().long()
            levels = torch.cat([levels[chosen], levels[-1:]])
        levels[:-1] /= self.finer ** torch.linspace(0, 1, len(levels) - 1, dtype=levels.dtype)
        return levels


@dataclass(frozen=True)
class Doubled(Schedule):
    """Another schedule with a further level between any two successive ones, their geometric mean.

    Attributes:
        schedule: the other schedule.
    """

    schedule: Schedule

    def sigmas(self) -> Tensor:
        levels = self.schedule.sigmas()
        # The last one is 0, and so is its mean with the level before, which ends this schedule too.
        between = (levels[:-1] * levels[1:]).sqrt()
        return torch.stack([levels[:-1], between], 1).flatten()


def cascade(schedule: Schedule, starts: Sequence[float | None]) -> list[Schedule]:
    """The parts of a schedule for several image sizes, each of which begins with the result of the one before.

    A size ends at a level far below that of the next size's start, because lower levels would be lost in its noise. The
    smallest of several, where the parameters are looked for and a step takes little time, has twice as many levels.

    Args:
        schedule: the whole schedule.
        starts: the level at which each size begins, from the smallest up; None: the schedule's first level.

    Returns:
        A schedule for each size.
    """
    parts: list[Schedule] = []
    for number, (start, next_start) in enumerate(pairwise([*starts, None])):
        own = Doubled(schedule) if number == 0 and len(starts) > 1 else schedule
        end = 0.0 if next_start is None else _LEFT * next_start
        parts.append(Tail(own, math.inf if start is None else start, end=end) if start or end else own)
    return parts
