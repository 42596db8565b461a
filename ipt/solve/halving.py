"""Large pictures solved at half their sides first, and continued at their own size from there.

task --`at_half`--> solved as a usual picture --> `HalfDraw` --`continued`, or enlarged--> `FromHalf`
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ipt.core.abilities import ability, framed_shape
from ipt.core.observation import Observation
from ipt.core.operator import IMAGE, ParametricOperator, Unknowns
from ipt.core.solver import Solution
from ipt.images.outcomes import Progress
from ipt.linalg.norms import rms
from ipt.linalg.random import image_seed
from ipt.linalg.resampling import halved
from ipt.plugins.building import build_component
from ipt.sampling import halving
from ipt.sampling.continuing import Continued
from ipt.sampling.levels import Level, halved_observation
from ipt.sampling.multiscale import Multiscale
from ipt.solve.choice import likeliest
from ipt.solve.draws import Draws, batch_with
from ipt.solve.joining import join_draws, split_draws
from ipt.solve.progress import Listener, Stages, step_progress
from ipt.solve.sizer import BatchSizer
from ipt.solve.solved_row import refined_row, solve_row
from ipt.solve.task import SamplingTask, is_large

MOST = 2_500_000
"""Most pixels of an image that continues at its own size, which bounds the memory; a larger one is enlarged."""


@dataclass(frozen=True)
class FromHalf(Solution):
    """A solution that began at half its measurement's sides.

    Attributes:
        scale: how often its sides are those at which it was solved last: 1, 2, 4, ...
    """

    scale: int = 1


@dataclass(frozen=True)
class HalfDraw:
    """A draw at half the sides, from which full size may continue.

    Attributes:
        solution: the draw.
        seed: of its random numbers.
        rivals: of it, as of an `ipt.core.solver.State`.
    """

    solution: Solution
    seed: int
    rivals: Unknowns

    @property
    def probability(self) -> float:
        """That it is right, 0..1; 0 where the operator cannot tell."""
        return self.solution.assessments[0].probability if self.solution.assessments else 0.0


def can_begin_at_half(task: SamplingTask) -> bool:
    """Whether a picture can be solved at half its sides first: with an unknown border and unknown parameters."""
    solver, image = task.solver, task.solver.operator.image_shape(task.shape)
    if task.known or framed_shape(solver.operator, image) == image:
        return False
    halvable = ability(solver.operator, halving.Halvable)
    return halvable is not None and halving.continued(solver) is not None and _can_be_posed(task, halvable)


def is_enlarged(task: SamplingTask) -> bool:
    """Whether a picture that began at half its sides is too large to continue at its own size, and is enlarged."""
    return math.prod(task.solver.operator.image_shape(task.shape)[1:]) > MOST


def _can_be_posed(task: SamplingTask, halvable: halving.Halvable) -> bool:
    """Whether there is a problem at half the sides, and one at full size with parameters of twice its sizes."""
    half = _halved(task, halvable)
    if is_enlarged(half):
        return can_begin_at_half(half)
    try:
        problem = half.solver.problem(half.measurement, half.noise, mask=half.mask, gain=half.gain)
        found = {name: torch.zeros(1, *spec.shape) for name, spec in problem.specs.items()}
        continuation = halvable.enlarged(found, task.shape, solved=True)
        whole = build_component("operator", continuation.operator, continuation.options)
    except ValueError:
        return False
    return Continued.of(task.solver, whole, task.observation) is not None


def at_half(task: SamplingTask) -> SamplingTask:
    """The task at half the sides, which begins at half of these if it is large itself."""
    halvable = ability(task.solver.operator, halving.Halvable)
    assert halvable is not None
    half = _halved(task, halvable)
    return replace(half, half=(is_large(half.shape) or is_enlarged(half)) and can_begin_at_half(half))


def _halved(task: SamplingTask, halvable: halving.Halvable) -> SamplingTask:
    """The task at half the sides, as a usual picture."""
    observation = halved_observation(Observation.checked(task.measurement, 1.0, task.mask))
    return replace(
        task,
        solver=replace(task.solver, operator=halvable.at_half()),
        measurement=observation.measurement,
        mask=observation.mask,
        noise=task.noise if isinstance(task.noise, float) else halved(task.noise),
        region=None,
        half=False,
    )


def solve_half(task: SamplingTask, sizer: BatchSizer, progress: Listener | None) -> list[HalfDraw]:
    """The draws at half a task's sides from which it continues: that of each seed, or the likeliest of a single seed's.

    States are not saved: pictures of half the sides are small, and give the same result again.
    """
    half = at_half(task)
    if half.half:
        stages = Stages(progress)
        drawn = solve_half(half, sizer, stages.next(0.5, halving.STEPS))
        share = 0.5 / len(drawn)
        return [replace(draw, solution=_continued(half, draw, stages.next(share))) for draw in drawn]
    draws = Draws([half], local=True)
    batches, solutions = solve_row(draws, sizer, progress)
    (solution,) = draws.by_task(refined_row(draws, batches, solutions, sizer, progress))
    alone, numbers = split_draws(solution), list(range(len(task.seeds)))
    if len(numbers) == 1 and solution.assessments:
        numbers = [likeliest(solution.assessments)]
    # Calls of the priors are counted for all draws together: the first one has them.
    none = dict.fromkeys(solution.calls, 0)
    counted = [replace(alone[number], calls=none if rank else solution.calls) for rank, number in enumerate(numbers)]
    return [
        HalfDraw(one, draws.row[number].seed, batch_with(batches, number).rivals_of(number))
        for one, number in zip(counted, numbers, strict=True)
    ]


def loses_detail(task: SamplingTask, draw: HalfDraw) -> bool:
    """Whether a draw is enlarged, and its parameters are so fine that the picture could tell of finer detail."""
    if not is_enlarged(task):
        return False
    halvable, solution = ability(task.solver.operator, halving.Halvable), draw.solution
    assert halvable is not None
    return not halvable.hides_detail(solution.parameters, _scale(task, solution) // 2)


def _scale(task: SamplingTask, solution: Solution) -> int:
    """How often a task's sides are those at which it was solved last."""
    return round(task.shape[-1] / solution.sizes[-1][1])


def continued(task: SamplingTask, draws: Sequence[HalfDraw], progress: Listener | None) -> FromHalf:
    """The solution of a task that continues from draws at half its sides.

    Args:
        task: at full size.
        draws: at half the sides.
        progress: called after every step.
    """
    stages = Stages(progress)
    found = [_continued(task, draw, stages.next(1 / len(draws))) for draw in draws]
    joined = join_draws(task, found)
    return FromHalf(**vars(joined), scale=_scale(task, joined))


def _continued(task: SamplingTask, draw: HalfDraw, progress: Listener | None) -> Solution:
    """One draw continued at full size; enlarged, if that is too large."""
    half, solver, solved = draw.solution, halving.continued(task.solver), not is_enlarged(task)
    halvable, small = ability(task.solver.operator, halving.Halvable), half.operator
    assert solver is not None and halvable is not None and small is not None
    continuation = halvable.enlarged(half.parameters, task.shape, solved)
    operator = build_component("operator", continuation.operator, continuation.options)
    frame = halving.frame_of(small, tuple(half.whole.shape[1:]))
    image = halving.enlarged_image(half.whole, frame, operator, task.shape)
    if not solved:
        return _enlarged(task, half, operator, image, operator.constrain(continuation.start), progress)
    whole = Continued.of(solver, operator, task.observation)
    assert whole is not None
    multiscale, levels, trace = Multiscale(whole.solver), (Level(whole.solver, whole.problem, dict),), []
    for state in whole.steps(image, continuation.start, image_seed(draw.seed, "half"), draw.rivals):
        trace.append(state.residual)
        if progress is not None:
            share = state.index / state.total
            progress(step_progress(multiscale, levels, state, [task.part], state.index, state.total, share))
    found = whole.solver.solution(whole.problem, state, trace)
    return replace(
        found,
        trace=torch.cat([half.trace, found.trace]),
        sizes=[*half.sizes, *found.sizes],
        calls={name: count + half.calls[name] for name, count in found.calls.items()},
        assessments=half.assessments,
    )


def _enlarged(
    task: SamplingTask,
    half: Solution,
    operator: ParametricOperator,
    whole: Tensor,
    parameters: Unknowns,
    progress: Listener | None,
) -> Solution:
    """A draw at half the sides as one at full size.

    Args:
        task: at full size.
        half: the draw.
        operator: at full size.
        whole: the enlarged image with its surroundings, (1, C, H, W).
        parameters: enlarged, physical and valid, (1, C, h, w) by name.
        progress: called once.
    """
    rows, columns = halving.frame_of(operator, tuple(whole.shape[1:]))
    residual = rms(task.residual(operator, whole, parameters)[None])
    image = whole[..., rows, columns]
    if progress is not None:
        unknowns = {**{name: value[0].cpu() for name, value in parameters.items()}, IMAGE: image[0].cpu()}
        progress(Progress(0, 0, float(residual) / task.level, 1.0, lambda: unknowns))
    return replace(half, image=image, whole=whole, parameters=parameters, residual=residual, operator=operator)
