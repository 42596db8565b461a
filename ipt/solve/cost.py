"""An estimate of a solve's time and memory before it begins, from a few steps on a small crop of the measurement."""

from __future__ import annotations

import math
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ipt.core.operator import IMAGE
from ipt.core.solver import Solver
from ipt.sampling import regional
from ipt.solve.task import SamplingTask
from ipt.solve.work import Work, at_once

LARGE = 2**18
"""Pixels of a picture (512 x 512) from which on an estimate, which takes about a second, is worth making."""
_SIDE, _STEPS = 128, 3
"""Side of the crop in pixels, and steps that are timed."""
_BYTES_PER_VALUE = 32
"""Bytes kept for each value of a picture that is solved in tiles, or begins at half its sides, until its end."""
_SCRATCH = 2.3
"""Memory of a process over that of its tensors: transforms and convolutions need scratch memory (measured on CPUs)."""


@dataclass(frozen=True)
class Cost:
    """The estimated cost of a solve; as text, "about 40 s a draw (at most 3), 1.2 GB of memory".

    Attributes:
        seconds: for one draw of every sample.
        memory: peak in bytes, besides what is loaded already.
        draws: the most draws, if each in turn is likely wrong.
    """

    seconds: float
    memory: float
    draws: int = 1

    def __str__(self) -> str:
        minutes = self.seconds / 60
        if minutes < 2:
            duration = f"{self.seconds:.0f} s"
        else:
            duration = f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
        more = f" a draw (at most {self.draws})" if self.draws > 1 else ""
        return f"about {duration}{more}, {max(self.memory, 1e8) / 1e9:.1f} GB of memory"


def cost_of(tasks: Sequence[SamplingTask]) -> Cost | None:
    """The cost of tasks that are solved together, one draw each; None: the prior does not take a crop of that size."""
    task = tasks[0]
    work = Work.of(tasks)
    solver = replace(task.solver, schedule=regional.schedule(task.solver)) if task.from_parameters else task.solver
    timed = _cost_per_pixel(solver, task)
    if timed is None:
        return None
    seconds, memory = timed[0] * work.whole, timed[1]
    # Region and half size are timed by themselves: first steps are at higher noise levels, and in double precision.
    if work.region + work.half and (timed := _cost_per_pixel(task.solver, task)) is not None:
        seconds, memory = seconds + timed[0] * (work.region + work.half), max(memory, timed[1])
    image_sides = task.solver.operator.image_shape(task.shape)[-2:]
    pixels_per_measured = math.prod(image_sides) / math.prod(task.shape[-2:])
    kept = _BYTES_PER_VALUE * math.prod(task.shape) if task.from_parameters or task.half else 0
    return Cost(
        seconds=seconds * pixels_per_measured,
        memory=memory * at_once(task) * pixels_per_measured + kept,
        draws=1 + len(task.reserve),
    )


def _cost_per_pixel(solver: Solver, task: SamplingTask) -> tuple[float, float] | None:
    """Seconds per step and bytes, both per image pixel, measured on the first steps; None: the crop is refused."""
    crop = task.measurement[..., :_SIDE, :_SIDE].clone()
    try:
        problem = solver.problem(crop, task.noise, task.known)
    except ValueError:
        return None
    steps = solver.steps(problem, [0])
    with _LiveMemory() as memory:
        next(steps)
    times = [time.perf_counter()]
    times.extend(time.perf_counter() for _ in islice(steps, _STEPS))
    # The fastest step: other processes may slow down the others.
    seconds = min((after - before for before, after in pairwise(times)), default=0.0)
    pixels = math.prod(problem.normalizations[IMAGE].physical_shape[-2:])
    return seconds / pixels, _SCRATCH * memory.peak / pixels


class _LiveMemory(TorchDispatchMode):
    """A context that records the peak memory, in bytes, of the tensors that are made within it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = self._now = 0
        self._tensors: dict[int, int] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                place, size = storage.data_ptr(), storage.nbytes()
                self._tensors[place] = self._tensors.get(place, 0) + 1
                self._now += size if self._tensors[place] == 1 else 0
                self.peak = max(self.peak, self._now)
                weakref.finalize(tensor, self._release, place, size)
        return made

    def _release(self, place: int, size: int) -> None:
        self._tensors[place] -= 1
        self._now -= 0 if self._tensors[place] else size
