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


def listener_to_part(
    progress: Listener | None, before: int, after: int, start: float = 0.0, stop: float = 1.0
) -> Listener | None:
    """A listener to a part of a solve, which passes on the progress of all of it.

    Args:
        progress: the listener to all of it; None: there is none.
        before: steps before the part.
        after: steps after it.
        start: share of the work at which the part begins.
        stop: share at which it ends.
    """
    if progress is None:
        return None
    return lambda step: progress(
        replace(
            step,
            done=before + step.done,
            total=before + step.total + after,
            share=None if step.share is None else start + (stop - start) * step.share,
        )
    )
