"""Tasks of one shape, solved together: the drawing of samples, without files, pictures or a command line.

A task is a measurement to be solved once for each of its seeds. The draws of several tasks make one long row, which is
solved from left to right in parts of as many as memory takes. No draw depends on those beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from ipt.core.errors import IptError
from ipt.core.problem import Problem
from ipt.core.solver import Solution, Solver, State
from ipt.images.outcomes import Progress
from ipt.solve.memory import Room, out_of_memory


@dataclass(frozen=True)
class Task:
    """measurement: (1, C, H, W). noise: its standard deviation, in 0..1. known: parameters that are given, (1, C, H, W)
    each. seeds: one a draw.

    Tasks that are solved together have the same shape and equal solvers: the first one's is used.
    """

    solver: Solver
    measurement: Tensor
    noise: float
    known: Mapping[str, Tensor]
    seeds: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.measurement.shape[1:])


@dataclass(frozen=True)
class Part:
    """Draws start..stop of the row, and how far they are. trace: the residual after each step, (B,) each."""

    start: int
    stop: int
    state: State
    trace: tuple[Tensor, ...]


class Keeper(Protocol):
    """Who is shown where a solve stands after every step, and may write it down."""

    def __call__(self, parts: Sequence[Part], finished: bool) -> None:
        """parts: from the first draw on, all but the last complete. finished: so is the last, and all draws are
        there."""


def solve_tasks(
    tasks: Sequence[Task],
    room: Room,
    watch: Callable[[Progress], None] | None = None,
    keep: Keeper | None = None,
    begun: Sequence[Part] = (),
) -> list[Solution]:
    """Solve tasks of one shape together: a Solution each, its batch being the task's draws.

    room: how many draws at a time; where memory does not suffice, half as many. begun: parts that `keep` was shown in
    an earlier process, to go on from; the result is what it would have been. The calls of a solution count every draw.

    Raises IptError: what the solver refuses. MemoryError, RuntimeError: not even one draw fits into memory.
    """
    row = _Row(tasks)
    parts = list(begun)
    while not row.complete(parts):
        started = parts.pop() if parts and not parts[-1].state.finished else None
        start = parts[-1].stop if parts else 0
        stop = min(start + room.draws(row.shape), len(row)) if started is None else started.stop
        try:
            parts.append(row.solve(start, stop, started, parts, watch, keep))
            continue
        except (MemoryError, RuntimeError) as error:
            if stop - start == 1 or not out_of_memory(error):
                raise
        # Only here, where the error and with it the tensors of the attempt are gone.
        room.halve(row.shape, stop - start)
    return row.solutions(parts)


class _Row:
    """The draws of several tasks, side by side."""

    def __init__(self, tasks: Sequence[Task]):
        self.tasks = tasks
        self.draws = [(task, seed) for task in tasks for seed in task.seeds]
        self.solver, self.shape = tasks[0].solver, tasks[0].shape

    def __len__(self) -> int:
        return len(self.draws)

    def complete(self, parts: Sequence[Part]) -> bool:
        return bool(parts) and parts[-1].stop == len(self) and parts[-1].state.finished

    def solve(
        self,
        start: int,
        stop: int,
        started: Part | None,
        before: Sequence[Part],
        watch: Callable[[Progress], None] | None,
        keep: Keeper | None,
    ) -> Part:
        problem = self._problem(start, stop)
        seeds = [seed for _, seed in self.draws[start:stop]]
        part = started
        # As many parts as there would be if all to come were of this one's size.
        count = len(before) + math.ceil((len(self) - start) / (stop - start))
        try:
            for state in self.solver.steps(
                problem.measurement, problem.noise, problem.known, seeds, None if started is None else started.state
            ):
                trace = (*(part.trace if part is not None else ()), state.residual)
                part = Part(start, stop, state, trace)
                if keep is not None:
                    parts = [*before, part]
                    keep(parts, self.complete(parts))
                if watch is not None:
                    residual = float((state.residual / problem.noise.flatten()).square().mean().sqrt())
                    watch(Progress(len(before) * state.total + state.index, count * state.total, residual))
        except ValueError as error:
            raise error if isinstance(error, IptError) else IptError(str(error)) from error
        if part is None:
            raise IptError("the schedule has no steps; set --steps")
        return part

    def solutions(self, parts: Sequence[Part]) -> list[Solution]:
        made = [self.solver.solution(part.state, self._problem(part.start, part.stop), part.trace) for part in parts]
        calls = [made[number].calls for number, part in enumerate(parts) for _ in range(part.start, part.stop)]
        whole = Solution(
            image=torch.cat([part.image for part in made]),
            parameters={name: torch.cat([part.parameters[name] for part in made]) for name in made[0].parameters},
            residual=torch.cat([part.residual for part in made]),
            trace=torch.cat([part.trace for part in made], dim=1),
            sizes=made[0].sizes,
            calls={},
        )
        found, start = [], 0
        for task in self.tasks:
            own = slice(start, start + len(task.seeds))
            found.append(
                replace(
                    whole,
                    image=whole.image[own],
                    parameters={name: value[own] for name, value in whole.parameters.items()},
                    residual=whole.residual[own],
                    trace=whole.trace[:, own],
                    calls={name: sum(count[name] for count in calls[own]) for name in calls[0]},
                )
            )
            start = own.stop
        return found

    def _problem(self, start: int, stop: int) -> Problem:
        tasks = [task for task, _ in self.draws[start:stop]]
        measurement = torch.cat([task.measurement for task in tasks])
        noise = torch.tensor([task.noise for task in tasks], dtype=measurement.dtype, device=measurement.device)
        known = {name: torch.cat([task.known[name] for task in tasks]) for name in tasks[0].known}
        try:
            return self.solver.problem(measurement, noise, known)
        except ValueError as error:
            raise error if isinstance(error, IptError) else IptError(str(error)) from error
