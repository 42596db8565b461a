"""The work of a solve: pixels of all steps and draws, from which its time and memory are estimated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ipt.sampling import halving, regional
from ipt.solve.draws import Draws
from ipt.solve.halving import at_half, is_enlarged
from ipt.solve.local import local_steps
from ipt.solve.task import SamplingTask
from ipt.solve.tiles import tiling_of

_COST_OF_PLACES = 2
"""Time of a step with local kernels over that of one with a single kernel (benchmarks/results/localized.json)."""


@dataclass(frozen=True)
class Work:
    """Pixels of all steps and draws, without the reserve.

    Attributes:
        half: at half the sides.
        region: in the tasks' regions.
        whole: in the whole pictures.
    """

    half: int
    region: int
    whole: int

    @classmethod
    def of(cls, tasks: Sequence[SamplingTask]) -> Work:
        """The work of tasks of one kind, for the longest way that they may take."""
        first, draws = tasks[0], sum(len(task.seeds) for task in tasks)
        pixels = draws * math.prod(first.shape[1:])
        if not first.from_parameters and not first.half:
            return cls(0, 0, Draws(tasks).work + _COST_OF_PLACES * local_steps(first) * pixels)
        half = whole = 0
        if first.half:
            half = cls.of([at_half(task) for task in tasks]).total
            whole = 0 if is_enlarged(first) else _COST_OF_PLACES * pixels * halving.STEPS
        region = 0 if first.region is None else Draws([task.of_region() for task in tasks]).work
        if first.from_parameters:
            in_tiles = sum(math.prod(tile.shape[1:]) for tile in tiling_of(first).tasks(first))
            steps = len(regional.schedule(first.solver).sigmas()) - 1
            whole = max(whole, in_tiles * steps * draws)
        return cls(half, region, whole)

    @property
    def total(self) -> int:
        """All of it."""
        return self.half + self.region + self.whole


def at_once(task: SamplingTask) -> int:
    """Pixels of a draw that are in memory together: of its competing draws of smaller images, or of a tile."""
    if not task.from_parameters and not task.half:
        return Draws([task]).largest
    parts = []
    if task.half:
        parts += [0 if is_enlarged(task) else math.prod(task.shape[1:]), at_once(at_half(task))]
    if task.from_parameters:
        parts.append(math.prod(tiling_of(task).tasks(task)[0].shape[1:]))
    if task.region is not None:
        parts.append(Draws([task.of_region()]).largest)
    return max(parts)
