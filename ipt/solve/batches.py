"""Posterior draws of several measurements of one shape, solved together in batches that fit into memory.

The draws of all tasks make one row, which is solved from left to right, a batch of as many as memory takes after the
other. No draw depends on those beside it. Here are no files, pictures or options.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ipt.core.abilities import Assessment
from ipt.core.errors import IptError
from ipt.core.solver import Solution, Solver, State
from ipt.images.outcomes import Progress
from ipt.plugins.faults import place
from ipt.sampling.multiscale import Level, Multiscale
from ipt.solve.verdict import LIKELY

_CPU_PIXELS = 2**15
"""Pixels of a batch on a CPU: 8 draws at 64x64, which take .6 of the time that they take one by one."""
_GPU_PIXELS = 2**22
"""Pixels of a batch on a GPU, to begin with: 64 draws at 256x256."""
LARGEST_BATCH = 256
"""Draws; what is chosen by the device never exceeds it."""


@dataclass(frozen=True)
class SamplingTask:
    """A measurement to draw from the posterior of.

    Tasks that are solved together are of one `kind` and have equal solvers.

    Attributes:
        solver: the first task's is used for all.
        measurement: (1, C, H, W) in 0..1.
        noise: its standard deviation.
        known: parameters that are given, (1, C, H, W) each, by name.
        seeds: one a draw.
        mask: 1 where it was measured, 0 elsewhere, (1, 1 or C, H, W); None: everywhere.
        reserve: seeds of further draws, made one after the other as long as none so far is likely right.
    """

    solver: Solver
    measurement: Tensor
    noise: float
    known: Mapping[str, Tensor]
    seeds: tuple[int, ...]
    mask: Tensor | None = None
    reserve: tuple[int, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W)."""
        return tuple(self.measurement.shape[1:])

    @property
    def kind(self) -> tuple[tuple[int, ...], bool]:
        """What tasks that are solved together share: their shape, and whether all of it was measured."""
        return self.shape, self.mask is None


@dataclass(frozen=True)
class Batch:
    """Draws start to stop of the row, and how far they are. trace: the residual after each step, (stop - start,)."""

    start: int
    stop: int
    state: State
    trace: tuple[Tensor, ...]


SaveState = Callable[[Sequence[Batch], bool], None]
"""Called after every step with the batches so far, all but the last complete, and whether that was the last step."""


class BatchSizer:
    """How many draws of a shape are solved together.

    It depends on the shape and on what failed before, never on the memory that happens to be free, so that a run that
    is continued forms the same batches.

    Args:
        asked: so many; None: as many as the device has use for.
        device: a torch device.
        note: called with a sentence when memory did not suffice.
    """

    def __init__(self, asked: int | None = None, device: str = "cpu", note: Callable[[str], None] | None = None):
        self.asked, self.device, self._note = asked, device, note
        self._halved: dict[tuple[int, ...], int] = {}

    def size(self, shape: tuple[int, ...]) -> int:
        """Draws of (C, H, W) that make a batch."""
        pixels = _GPU_PIXELS if self.device.startswith("cuda") else _CPU_PIXELS
        usual = min(LARGEST_BATCH, max(1, pixels // (shape[-2] * shape[-1])))
        return self._halved.get(shape, usual if self.asked is None else self.asked)

    def halve(self, shape: tuple[int, ...], tried: int) -> None:
        """So many did not fit; call it when nothing holds their tensors any more."""
        self._halved[shape] = max(1, tried // 2)
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()
        if self._note is not None:
            size = f"{shape[-1]} x {shape[-2]} px"
            self._note(f"out of memory with {tried} at once at {size}; going on with {self._halved[shape]}")


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says so; torch's CPU allocator raises a plain RuntimeError."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and ("allocate memory" in str(error) or "enough memory" in str(error))


def solve_tasks(
    tasks: Sequence[SamplingTask],
    sizer: BatchSizer,
    progress: Callable[[Progress], None] | None = None,
    save: SaveState | None = None,
    begun: Sequence[Batch] = (),
) -> list[Solution]:
    """Draw from the posteriors of tasks of one shape: a Solution each, its batch being the task's draws.

    Those of its seeds come first, in their order, then those that were made of its reserve.

    Args:
        tasks: of one shape.
        sizer: says how many draws make a batch; where memory does not suffice, it halves them.
        progress: called after every step.
        save: called after every step, to write down where the solve is.
        begun: batches that `save` was given in an earlier process; the result is what it would have been there.

    Raises:
        IptError: what the solver refuses.
        MemoryError, RuntimeError: not even one draw fits into memory.
    """
    draws = _Draws(tasks)
    complete: list[Batch] = []
    solutions: list[Solution] = []
    resumed = list(begun)
    while len(draws) > (start := complete[-1].stop if complete else 0):
        first = resumed.pop(0) if resumed else None
        stop = min(start + sizer.size(draws.shape), len(draws)) if first is None else first.stop
        try:
            batch, solution = draws.solve(start, stop, first, complete, progress, save)
            complete.append(batch)
            solutions.append(solution)
            if batch.stop == len(draws):
                draws.extend([one for made in solutions for one in made.assessments])
            continue
        except (MemoryError, RuntimeError) as error:
            if stop - start == 1 or not out_of_memory(error):
                raise
        # Only here, where the error and with it the tensors of the attempt are gone.
        sizer.halve(draws.shape, stop - start)
    return draws.by_task(complete, solutions)


class _Draws:
    """The draws of several tasks, side by side."""

    def __init__(self, tasks: Sequence[SamplingTask]):
        self.tasks = tasks
        self.all = [(task, seed) for task in tasks for seed in task.seeds]
        self.solver, self.shape = Multiscale(tasks[0].solver), tasks[0].shape

    def __len__(self) -> int:
        return len(self.all)

    def extend(self, assessments: Sequence[Assessment]) -> None:
        """One draw more of each task that has some in reserve and none that is likely right; assessments: of all."""
        if not assessments:
            return
        for task in self.tasks:
            own = [number for number, (other, _) in enumerate(self.all) if other is task]
            left = task.reserve[len(own) - len(task.seeds) :]
            if left and all(assessments[number].probability < LIKELY for number in own):
                self.all.append((task, left[0]))

    def solve(
        self,
        start: int,
        stop: int,
        batch: Batch | None,
        before: Sequence[Batch],
        progress: Callable[[Progress], None] | None,
        save: SaveState | None,
    ) -> tuple[Batch, Solution]:
        """The draws start to stop, from where `batch` is; before: the batches that are complete."""
        seeds = [seed for _, seed in self.all[start:stop]]
        # As many batches as there would be if all to come were of this one's size.
        count = len(before) + math.ceil((len(self) - start) / (stop - start))
        try:
            problem = self._problem(start, stop)
            if batch is None or not batch.state.finished:
                resume = None if batch is None else batch.state
                for state in self.solver.steps(problem, seeds, resume):
                    batch = Batch(start, stop, state, (*(batch.trace if batch else ()), state.residual))
                    if save is not None:
                        save([*before, batch], stop == len(self) and state.finished)
                    if progress is not None:
                        residual = float(
                            (state.residual / problem[-1].problem.observation.noise.flatten()).square().mean().sqrt()
                        )
                        progress(Progress(len(before) * state.total + state.index, count * state.total, residual))
        except ValueError as error:
            raise error if isinstance(error, IptError) else IptError(f"{error}{place(error)}") from error
        if batch is None:
            raise IptError("the schedule has no steps; set steps=")
        return batch, self.solver.solution(problem, batch.state, batch.trace)

    def by_task(self, batches: Sequence[Batch], solutions: Sequence[Solution]) -> list[Solution]:
        """The solutions of all batches, divided anew; each task's calls are those of its draws."""
        calls = [
            made.calls for batch, made in zip(batches, solutions, strict=True) for _ in range(batch.start, batch.stop)
        ]
        image = torch.cat([made.image for made in solutions])
        whole = torch.cat([made.whole for made in solutions])
        names = solutions[0].parameters
        parameters = {name: torch.cat([made.parameters[name] for made in solutions]) for name in names}
        residual = torch.cat([made.residual for made in solutions])
        trace = torch.cat([made.trace for made in solutions], dim=1)
        assessments = [one for made in solutions for one in made.assessments]
        found = []
        for task in self.tasks:
            own = [number for number, (other, _) in enumerate(self.all) if other is task]
            found.append(
                replace(
                    solutions[0],
                    image=image[own],
                    whole=whole[own],
                    parameters={name: value[own] for name, value in parameters.items()},
                    residual=residual[own],
                    trace=trace[:, own],
                    calls={name: sum(calls[number][name] for number in own) for name in calls[0]},
                    assessments=[assessments[number] for number in own] if assessments else (),
                )
            )
        return found

    def _problem(self, start: int, stop: int) -> tuple[Level, ...]:
        tasks = [task for task, _ in self.all[start:stop]]
        measurement = torch.cat([task.measurement for task in tasks])
        noise = torch.tensor([task.noise for task in tasks], dtype=measurement.dtype, device=measurement.device)
        known = {name: torch.cat([task.known[name] for task in tasks]) for name in tasks[0].known}
        masks = [task.mask for task in tasks if task.mask is not None]
        return self.solver.problem(measurement, noise, known, torch.cat(masks) if masks else None)
