"""Coarse to fine: a solve that begins with the image at half or a quarter of its sides, and continues at larger sizes.

    smallest level: several draws --most likely--> enlarged, noise added --> next level --> ... --> full size

A wide blur is a narrow one in a small image, so its kernel is easier to find there. Small images are cheap and draws
differ, so several compete, and the one whose image is most likely under the prior continues.

References:
    Fergus et al., "Removing Camera Shake from a Single Photograph", SIGGRAPH 2006.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ipt.core.abilities import Framed, ability
from ipt.core.operator import IMAGE, Known, Unknowns
from ipt.core.solver import Solution, Solver, State
from ipt.linalg.random import Noise, image_seed
from ipt.sampling.checks import check_differentiable, check_scale
from ipt.sampling.levels import Level, coarser, enlarged_state, initialized, scheduled


@dataclass(frozen=True)
class Multiscale:
    """A solver from coarse to fine where rule, operator and priors allow it and no parameter is known.

    Otherwise it solves at full size only. Its methods are those of `Solver`, but a problem is a sequence of levels,
    from the smallest image up, and states count the steps of all levels. A state of a smaller image has several draws
    of each image, one after the other, and its residual is the smallest of them.

    Attributes:
        solver: the solver at full size.
        draws: number of draws that compete at the smallest size; half as many at the next, ..., one at full size.
    """

    solver: Solver
    draws: int = 4

    def problem(
        self,
        measurement: Tensor,
        noise: float | Tensor = 0.01,
        known: Known = None,
        mask: Tensor | None = None,
        gain: float | Tensor = 0.0,
    ) -> tuple[Level, ...]:
        """The problem at every size, the smallest first; arguments as in `Solver.problem`.

        Raises:
            IptError: As in `Solver.problem`; also a picture of another scale than 0..1 (`check_scale`), or a rule that
                needs gradients that an unknown or its prior does not have (`check_differentiable`).
        """
        levels = [Level(self.solver, self.solver.problem(measurement, noise, known, mask, gain), dict)]
        check_scale(self.solver.operator, levels[0].problem.observation.measurement)
        if self.solver.rule.needs_gradients:
            check_differentiable(self.solver.rule, levels[0].problem)
        while (smaller := coarser(levels[0])) is not None:
            levels.insert(0, smaller)
        posed = scheduled(levels, self.draws)
        return (initialized(posed[0]),) if len(posed) == 1 else posed

    def steps(
        self, problem: Sequence[Level], seeds: Sequence[int] | None = None, resume: State | None = None
    ) -> Iterator[State]:
        """Solve, yielding a State after each step; arguments as in `Solver.steps`."""
        total, first, state = sum(level.steps for level in problem), 0, resume
        if state is not None and state.total != total:
            raise ValueError(f"cannot go on: the state is of a solve in {state.total} steps, the schedule has {total}")
        image_seeds: Sequence[int] = range(len(problem[-1].problem.observation)) if seeds is None else seeds
        smaller_seeds: list[int] = []
        rivals = {} if state is None else dict(state.rivals)
        for number, level in enumerate(problem):
            start, steps = state, level.steps
            own_seeds = [draw_seed(seed, draw) for seed in image_seeds for draw in range(level.draws)]
            if state is not None and number and state.index == first:
                start = enlarged_state(problem[number - 1], smaller_seeds, level, state)
                if number == 1:
                    rivals = problem[0].problem.physical(state.clean)
                    del rivals[IMAGE]
            elif state is not None:
                start = replace(state, index=state.index - first, total=steps)
            elif level.initial is not None:
                start = level.solver.start(level.problem, Noise(own_seeds), level.initial)
            if start is None or start.index < steps:
                for own in level.solver.steps(level.problem, own_seeds, start):
                    residual = own.residual.unflatten(0, (-1, level.draws)).amin(1)
                    state = replace(own, index=first + own.index, total=total, residual=residual, rivals=rivals)
                    yield state
            first, smaller_seeds = first + steps, own_seeds

    def share(self, problem: Sequence[Level], state: State) -> float:
        """The share of the work that is done, 0..1; the work of a step is the number of pixels of its images."""
        number, first = self._at(problem, state)
        current, total = problem[number], sum(level.work for level in problem)
        done = sum(level.work for level in problem[:number])
        return (done + current.work * (state.index - first) / current.steps) / total

    def estimate(self, problem: Sequence[Level], state: State) -> Unknowns:
        """The current estimate for each measurement: image in the frame and parameters, physical, (B, C, H, W).

        At a smaller size it is that of the smaller image, and of the first of the competing draws.
        """
        level = problem[self._at(problem, state)[0]]
        with torch.no_grad():
            unknowns = {name: value[:: level.draws] for name, value in level.problem.physical(state.clean).items()}
        framed = ability(level.problem.operator, Framed)
        if framed is not None:
            unknowns[IMAGE] = unknowns[IMAGE][(..., *framed.frame(tuple(unknowns[IMAGE].shape[1:])))]
        return unknowns

    def _at(self, problem: Sequence[Level], state: State) -> tuple[int, int]:
        """The number of a state's level, and of the steps before that level."""
        first = 0
        for number, level in enumerate(problem[:-1]):
            if state.index <= first + level.steps:
                return number, first
            first += level.steps
        return len(problem) - 1, first

    def solution(self, problem: Sequence[Level], state: State, trace: Sequence[Tensor]) -> Solution:
        """The solution of the last state, in physical units; trace: the residuals of all states."""
        last = problem[-1]
        return replace(last.solver.solution(last.problem, state, trace), sizes=[level.size for level in problem])

    def solve(
        self,
        measurement: Tensor,
        noise: float | Tensor = 0.01,
        known: Known = None,
        seeds: Sequence[int] | None = None,
        mask: Tensor | None = None,
        gain: float | Tensor = 0.0,
    ) -> Solution:
        """Pose a problem and take all steps; arguments as in `problem` and `steps`."""
        problem, trace = self.problem(measurement, noise, known, mask, gain), []
        for state in self.steps(problem, seeds):
            trace.append(state.residual)
        return self.solution(problem, state, trace)


def draw_seed(seed: int, number: int) -> int:
    """The seed of a competing draw of an image; the first draw has the image's own seed."""
    return seed if number == 0 else image_seed(seed, f"draw {number}")
