"""About how long a solve takes and how much memory it needs, before it begins: by a few steps of a small part of it."""

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
from ipt.solve.batches import at_once, work_of
from ipt.solve.task import SamplingTask

LARGE = 2**18
"""Pixels of a picture, 512x512, from which on it is worth a second to know what is to come."""
_SIDE, _STEPS = 128, 3
_KEPT = 32
"""Bytes for each value of a picture that is solved in tiles: what of it is kept meanwhile, and joined."""
_SCRATCH = 2.3
"""Memory of a process over that of its tensors: what transforms and convolutions need besides (measured on CPUs)."""


@dataclass(frozen=True)
class Cost:
    """What a solve takes, about.

    Attributes:
        seconds: of one draw of every sample.
        memory: bytes besides what is loaded already.
        draws: at most, if one after the other is likely wrong.
    """

    seconds: float
    memory: float
    draws: int = 1

    def __str__(self) -> str:
        minutes = self.seconds / 60
        hours = f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
        took = f"{self.seconds:.0f} s" if minutes < 2 else hours
        more = f" a draw (at most {self.draws})" if self.draws > 1 else ""
        return f"about {took}{more}, {max(self.memory, 1e8) / 1e9:.1f} GB of memory"


def cost_of(tasks: Sequence[SamplingTask]) -> Cost | None:
    """What tasks that are solved together will take, one draw after the other; None: the prior takes no small part."""
    task = tasks[0]
    region, whole = work_of(tasks)
    from_known = bool(task.begun or task.region)
    found = _measured(
        replace(task.solver, schedule=regional.schedule(task.solver)) if from_known else task.solver, task
    )
    if found is None:
        return None
    seconds, memory = found[0] * whole, found[1]
    if task.region and (of_region := _measured(task.solver, task)) is not None:
        # Its first steps are at higher noise levels, and in double precision.
        seconds, memory = seconds + of_region[0] * region, max(memory, of_region[1])
    surrounded = math.prod(task.solver.operator.image_shape(task.shape)[-2:]) / math.prod(task.shape[-2:])
    bytes_of_all = _KEPT * math.prod(task.shape) if from_known else 0
    return Cost(
        seconds * surrounded,
        memory * at_once(task) * surrounded + bytes_of_all,
        1 + len(task.reserve),
    )


def _measured(solver: Solver, task: SamplingTask) -> tuple[float, float] | None:
    """Seconds a step, and bytes, of a pixel of the image; in the first steps of a solver."""
    part = task.measurement[..., :_SIDE, :_SIDE].clone()
    try:
        problem = solver.problem(part, task.noise, task.known)
    except ValueError:
        return None
    steps = solver.steps(problem, [0])
    with _LiveMemory() as memory:
        next(steps)
    times = [time.perf_counter()]
    times.extend(time.perf_counter() for _ in islice(steps, _STEPS))
    # The quickest: others may use the processor meanwhile.
    seconds = min((after - before for before, after in pairwise(times)), default=0.0)
    pixels = math.prod(problem.normalizations[IMAGE].physical_shape[-2:])
    return seconds / pixels, _SCRATCH * memory.peak / pixels


class _LiveMemory(TorchDispatchMode):
    """How many bytes the tensors that are made within it take together, at most."""

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
                weakref.finalize(tensor, self._gone, place, size)
        return made

    def _gone(self, place: int, size: int) -> None:
        self._tensors[place] -= 1
        self._now -= 0 if self._tensors[place] else size
