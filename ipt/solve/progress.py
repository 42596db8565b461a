"""The progress of draws: while they are solved, and when they are complete."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ipt.core.operator import IMAGE
from ipt.core.solver import Solution, State
from ipt.images.outcomes import Progress
from ipt.sampling.levels import Level
from ipt.sampling.multiscale import Multiscale
from ipt.solve.parts import Part, in_whole
from ipt.solve.task import SamplingTask
from ipt.solve.verdict import residual_rms

Listener = Callable[[Progress], None]
"""Called with the progress after every step."""


def step_progress(
    solver: Multiscale,
    problem: Sequence[Level],
    state: State,
    parts: Sequence[Part | None],
    done: int,
    total: int,
    share: float,
) -> Progress:
    """The progress after a step.

    Args:
        solver: that took the step.
        problem: its.
        state: after the step.
        parts: of each draw, for previews (`in_whole`).
        done: steps that are done.
        total: steps in all.
        share: of the work that is done, 0..1.
    """

    def estimate() -> dict[str, Tensor]:
        unknowns = solver.estimate(problem, state)
        unknowns[IMAGE] = in_whole(parts, unknowns[IMAGE])
        return {name: value[0].cpu() for name, value in unknowns.items()}

    noise = problem[-1].problem.observation.noise.flatten().cpu()
    residual = float((state.residual.cpu() / noise).square().mean().sqrt())
    return Progress(done, total, residual, share, estimate)


def complete_progress(
    tasks: Sequence[SamplingTask], solutions: Sequence[Solution], done: int, total: int, share: float
) -> Progress:
    """The progress when some draws are complete; the residual is that of a verdict.

    Args:
        tasks: of the draws.
        solutions: of the draws, one each.
        done: steps that are done.
        total: steps in all.
        share: of the work that is done, 0..1.
    """
    ratios, first, parts = [], solutions[0], [task.part for task in tasks]
    for task, solution in zip(tasks, solutions, strict=True):
        operator = task.operator_of(solution)
        residual = task.residual(operator, solution.whole, solution.parameters)
        trusted = None if task.mask is None else task.mask[0]
        parameters = {name: value[0] for name, value in solution.parameters.items()}
        rms = residual_rms(operator, residual, trusted, parameters, solution.whole.shape[1:])
        ratios.append(rms / float(task.observation.noise))

    def estimate() -> dict[str, Tensor]:
        images = in_whole(parts, torch.cat([solution.image for solution in solutions]))
        return {**{name: value[0].cpu() for name, value in first.parameters.items()}, IMAGE: images[0].cpu()}

    level = math.sqrt(sum(ratio**2 for ratio in ratios) / len(ratios))
    return Progress(done, total, level, share, estimate)


class Stages:
    """The progress of a solve in several stages, one after the other.

    Args:
        progress: the listener to all of it; None: there is none.
    """

    def __init__(self, progress: Listener | None):
        self._progress = progress
        self._steps = self._before = 0
        self.share = 0.0

    def next(self, share: float, after: int = 0) -> Listener | None:
        """The listener to the next stage.

        Args:
            share: of all the work.
            after: steps that are expected to follow it.
        """
        start, self.share = self.share, self.share + share
        self._before = self._steps
        if self._progress is None:
            return None
        return lambda step: self._listen(step, start, share, after)

    def _listen(self, step: Progress, start: float, share: float, after: int) -> None:
        assert self._progress is not None
        self._steps = self._before + step.total
        part = None if step.share is None else start + share * step.share
        self._progress(replace(step, done=self._before + step.done, total=self._steps + after, share=part))
