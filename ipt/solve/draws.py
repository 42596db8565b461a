"""Posterior draws of several tasks of one shape, solved in batches; without files, pictures or options.

The draws of all tasks form a row (`ipt.solve.row`), which is solved from left to right: a `Batch` is a part of the row
and its `State`, and a `Solution` is what a complete batch amounts to. No draw depends on those beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from ipt.core.errors import IptError
from ipt.core.operator import IMAGE, Unknowns
from ipt.core.solver import Solution, State
from ipt.images.outcomes import Progress
from ipt.plugins.faults import place
from ipt.sampling.levels import Level
from ipt.sampling.multiscale import Multiscale
from ipt.solve.choice import likeliest
from ipt.solve.joining import join_draws, split_draws
from ipt.solve.local import local_steps
from ipt.solve.progress import Listener, complete_progress, step_progress
from ipt.solve.row import RegionResult, RowDraw, first_state, problem_of
from ipt.solve.task import SamplingTask
from ipt.solve.verdict import LIKELY, SURE

BEFORE_LOCAL = 0.7
"""Share of the work of a draw that comes before it is refined with local parameters (measured)."""


@dataclass(frozen=True)
class Batch:
    """A part of the row, and how far it is solved.

    Attributes:
        start: number of its first draw in the row.
        stop: number of the draw after its last one.
        state: of the solver.
        trace: the residual after each step, (stop - start,) each.
    """

    start: int
    stop: int
    state: State
    trace: tuple[Tensor, ...]

    def parameters_of(self, number: int) -> Unknowns:
        """The normalized parameters of a draw of the row, (1, C, h, w) by name."""
        own = slice(number - self.start, number - self.start + 1)
        return {name: value[own] for name, value in self.state.clean.items() if name != IMAGE}

    def rivals_of(self, number: int) -> Unknowns:
        """The parameters of the draws of smaller images that competed with a draw of the row, (R, C, h, w) by name."""
        size = self.stop - self.start
        return {name: value.unflatten(0, (size, -1))[number - self.start] for name, value in self.state.rivals.items()}


SaveState = Callable[[Sequence[Batch], bool], None]
"""Called after every step with the batches so far, all but the last complete, and whether that was the last step."""


def batch_with(batches: Sequence[Batch], number: int) -> Batch:
    """The batch with a draw of the row."""
    return next(batch for batch in batches if batch.start <= number < batch.stop)


class Draws:
    """The row of draws of several tasks.

    Args:
        tasks: of one kind.
        regions: for each task the result in a region, from which its draws begin; empty: they begin without.
        local: whether draws may be refined with local parameters afterwards.
    """

    def __init__(self, tasks: Sequence[SamplingTask], regions: Sequence[RegionResult] = (), local: bool = False):
        self.tasks = tasks
        by_task: Sequence[RegionResult | None] = regions or [None] * len(tasks)
        self.row = [
            RowDraw(task, seed, region) for task, region in zip(tasks, by_task, strict=True) for seed in task.seeds
        ]
        self.local_steps = local_steps(tasks[0]) if local else 0
        self.most_local_steps = self.local_steps * len(self.row)
        self.solver, self.shape = Multiscale(tasks[0].solver), tasks[0].shape

    def __len__(self) -> int:
        return len(self.row)

    @property
    def work(self) -> int:
        """Pixels of all steps."""
        return len(self) * sum(level.work for level in problem_of(self.solver, self.row[:1]))

    @property
    def largest(self) -> int:
        """Pixels of a draw's competing images, at the size where these are most."""
        return max(math.prod(level.size[:2]) * level.draws for level in problem_of(self.solver, self.row[:1]))

    def solve(
        self,
        start: int,
        stop: int,
        begun: Batch | None,
        before: Sequence[Batch],
        progress: Listener | None,
        save: SaveState | None,
    ) -> tuple[Batch, Solution]:
        """Solve a part of the row.

        Args:
            start: number of its first draw.
            stop: number of the draw after its last one.
            begun: the batch as it was saved in an earlier process; None: it has not begun.
            before: the complete batches before it.
            progress: called after every step but the last one.
            save: called after every step.

        Raises:
            IptError: what the solver refuses, or a schedule without steps.
        """
        batch = begun
        try:
            problem = problem_of(self.solver, self.row[start:stop])
            for batch in self._steps(problem, start, stop, begun):
                if save is not None:
                    save([*before, batch], stop == len(self) and batch.state.finished)
                if progress is not None and not batch.state.finished:
                    progress(self._step_progress(problem, batch, before))
        except ValueError as error:
            raise error if isinstance(error, IptError) else IptError(f"{error}{place(error)}") from error
        if batch is None:
            raise IptError("the schedule has no steps; set steps=")
        return batch, self.solver.solution(problem, batch.state, batch.trace)

    def _steps(self, problem: Sequence[Level], start: int, stop: int, begun: Batch | None) -> Iterator[Batch]:
        """The batch after each step that is left."""
        draws, trace = self.row[start:stop], () if begun is None else begun.trace
        if begun is not None and begun.state.finished:
            return
        first = first_state(problem, draws) if begun is None else begun.state
        for state in self.solver.steps(problem, [draw.seed for draw in draws], first):
            trace = (*trace, state.residual)
            yield Batch(start, stop, state, trace)

    def extend(self, solutions: Sequence[Solution]) -> None:
        """Append a draw from the reserve of each task whose draws so far may all be wrong.

        A single draw has to be `SURE`; of several, one has to be `LIKELY`.
        """
        if not any(task.reserve for task in self.tasks):
            return
        for task, solution in zip(self.tasks, self.by_task(solutions), strict=True):
            count = len(solution.image)
            left, enough = task.reserve[count - len(task.seeds) :], SURE if count == 1 else LIKELY
            if left and solution.assessments and all(one.probability < enough for one in solution.assessments):
                self.row.append(RowDraw(task, left[0]))

    def numbers_of(self, task: SamplingTask) -> list[int]:
        """The numbers of a task's draws in the row."""
        return [number for number, draw in enumerate(self.row) if draw.task is task]

    def by_task(self, solutions: Sequence[Solution]) -> list[Solution]:
        """A solution for each task with all of its draws, of the solutions of the batches so far."""
        drawn = [draw for solution in solutions for draw in split_draws(solution)]
        own = ([number for number in self.numbers_of(task) if number < len(drawn)] for task in self.tasks)
        return [
            join_draws(task, [drawn[number] for number in numbers])
            for task, numbers in zip(self.tasks, own, strict=True)
        ]

    def best(self, batches: Sequence[Batch], solutions: Sequence[Solution]) -> list[RegionResult]:
        """For each task the draw that is most likely right; of all batches, complete, and their solutions."""
        results = []
        for task, solution in zip(self.tasks, self.by_task(solutions), strict=True):
            draw = likeliest(solution.assessments) if solution.assessments else 0
            number = self.numbers_of(task)[draw]
            results.append(RegionResult(solution, draw, batch_with(batches, number).parameters_of(number)))
        return results

    def batch_progress(self, batch: Batch, solution: Solution, before: Sequence[Batch]) -> Progress:
        """The progress when a batch is complete; before: the batches before it."""
        tasks, count = [draw.task for draw in self.row[batch.start : batch.stop]], self._batch_count(batch, before)
        steps, done = batch.state.total, len(before) + 1
        total, share = count * steps + self.most_local_steps, self._share_before_local * done / count
        return complete_progress(tasks, split_draws(solution), done * steps, total, share)

    def _step_progress(self, problem: Sequence[Level], batch: Batch, before: Sequence[Batch]) -> Progress:
        """The progress after a step of a batch; before: the complete batches before it."""
        state, count = batch.state, self._batch_count(batch, before)
        parts = [draw.task.part for draw in self.row[batch.start : batch.stop]]
        done, total = len(before) * state.total + state.index, count * state.total + self.most_local_steps
        share = self._share_before_local * (len(before) + self.solver.share(problem, state)) / count
        return step_progress(self.solver, problem, state, parts, done, total, share)

    @property
    def _share_before_local(self) -> float:
        """Share of the work that comes before the refinement."""
        return BEFORE_LOCAL if self.local_steps else 1.0

    def _batch_count(self, batch: Batch, before: Sequence[Batch]) -> int:
        """The number of batches in all, if those to come are as large as this one."""
        return len(before) + math.ceil((len(self) - batch.start) / (batch.stop - batch.start))
