"""The draws of several tasks in a row, and the problem that a part of the row poses to the solver.

tasks --> row of `RowDraw` --`problem_of`--> levels of `Multiscale` --`first_state`--> where its steps begin
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ipt.core.operator import Unknowns
from ipt.core.solver import Solution, State
from ipt.sampling import regional
from ipt.sampling.levels import Level
from ipt.sampling.multiscale import Multiscale
from ipt.solve.task import SamplingTask


@dataclass(frozen=True)
class RegionResult:
    """The result in a region, from which the whole picture is solved.

    Attributes:
        solution: all draws in the region.
        draw: the number of the best of them.
        normalized: its normalized parameters, (1, C, h, w) by name.
    """

    solution: Solution
    draw: int
    normalized: Unknowns

    @property
    def probability(self) -> float:
        """That the best draw is right, 0..1; 0 where the operator cannot tell."""
        assessments = self.solution.assessments
        return assessments[self.draw].probability if assessments else 0.0

    def continued(self, whole: Solution) -> Solution:
        """The solution of the whole picture with the region's trace, calls and assessment added."""
        own, draws = slice(self.draw, self.draw + 1), len(whole.image)
        calls = {name: count + self.solution.calls[name] for name, count in whole.calls.items()}
        return replace(
            whole,
            trace=torch.cat([self.solution.trace[:, own].expand(-1, draws), whole.trace]),
            sizes=[*self.solution.sizes, *whole.sizes],
            calls=calls,
            assessments=[*self.solution.assessments[own]] * draws,
        )


@dataclass(frozen=True, eq=False)
class RowDraw:
    """A draw of the row.

    Attributes:
        task: what is drawn from.
        seed: of its random numbers.
        region: the result in a region from which it begins; None: it begins without.
    """

    task: SamplingTask
    seed: int
    region: RegionResult | None = None


def problem_of(solver: Multiscale, draws: Sequence[RowDraw]) -> tuple[Level, ...]:
    """The problem of some draws, one after the other in its batch.

    Args:
        solver: of the tasks.
        draws: of tasks of one kind.

    Raises:
        IptError: as in `Multiscale.problem`.
    """
    tasks, first = [draw.task for draw in draws], draws[0]
    measurement, noise, mask, gain = _batched(tasks)
    known = {name: torch.cat([task.known[name] for task in tasks]) for name in first.task.known}
    if first.task.begun:
        parameters = {**known, **first.task.start} if first.region is None else first.region.solution.parameters
        return (regional.remainder(solver.solver, measurement, noise, mask, parameters, gain, known),)
    return solver.problem(measurement, noise, known, mask, gain)


def first_state(problem: Sequence[Level], draws: Sequence[RowDraw]) -> State | None:
    """The state from which draws begin whose parameters are given, or were found in a region; None: other draws."""
    if not draws[0].task.begun:
        return None
    normalizations = problem[0].problem.normalizations
    starts = [
        {name: normalizations[name].normalized(value) for name, value in draw.task.start.items()}
        if draw.region is None
        else draw.region.normalized
        for draw in draws
    ]
    normalized = {name: torch.cat([start[name] for start in starts]) for name in starts[0]}
    return regional.first_state(problem[0], [draw.seed for draw in draws], normalized)


def _batched(tasks: Sequence[SamplingTask]) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    """Measurement, noise, mask and gain of all tasks, batch first, as of `Solver.problem`."""
    measurement = torch.cat([task.measurement for task in tasks])
    levels = [torch.as_tensor(task.noise).to(measurement) for task in tasks]
    noise = torch.cat([level if level.ndim == 4 else level.reshape(1, 1, 1, 1) for level in levels])
    masks = [task.mask for task in tasks if task.mask is not None]
    gain = torch.tensor([task.gain for task in tasks]).to(measurement)
    return measurement, noise, torch.cat(masks) if masks else None, gain
