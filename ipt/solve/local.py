"""A draw gone on with where the operator says that its parameters differ from place to place."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ipt.core.abilities import Assessment, CoarseToFine, ability
from ipt.core.operator import ParametricOperator, Unknowns, constrained
from ipt.core.solver import Solution, State
from ipt.images.outcomes import Progress
from ipt.linalg.random import image_seed
from ipt.plugins.building import build_component
from ipt.sampling.localizing import Local, Localizable, schedule
from ipt.sampling.multiscale import Level, Multiscale
from ipt.sampling.regional import Regional
from ipt.solve.task import SamplingTask
from ipt.solve.tiles import SIDE


def local_steps(task: SamplingTask) -> int:
    """Steps in which a draw of a task may be gone on with; 0: never.

    It has to be one of all of a picture, whose parameters are unknown, by a rule that goes on from a noise level.
    """
    if task.known or task.region is not None or task.begun or math.prod(task.shape[-2:]) > SIDE**2:
        return 0
    rule, operator = ability(task.solver.rule, CoarseToFine), ability(task.solver.operator, Localizable)
    if rule is None or rule.restart(1) is None or operator is None or not operator.may_be_local(task.shape):
        return 0
    return len(schedule(task.solver).sigmas()) - 1


def localized(
    task: SamplingTask,
    solution: Solution,
    assessment: Assessment,
    seed: int,
    rivals: Mapping[str, Tensor],
    progress: Callable[[Progress], None] | None = None,
) -> Solution:
    """A solution gone on with where its operator says that parameters differ; `operator` is another then.

    The solution as it was where its operator says that what came of it is not better.

    Args:
        task: what was solved.
        solution: of one draw.
        assessment: of that draw, beside the others where there are some.
        seed: the draw's.
        rivals: the draw's, as of an `ipt.core.solver.State`.
        progress: called after every step.
    """
    operator = ability(task.solver.operator, Localizable)
    if operator is None:
        return solution
    locally = operator.local(assessment, solution.parameters, task.shape)
    if locally is None:
        return solution
    own = build_component("operator", locally.operator, locally.options)
    if (local := Local.of(task.solver, own, task.observation)) is None:
        return solution
    trace = []
    for state in local.steps(solution.whole, locally.start, image_seed(seed, "local"), rivals):
        trace.append(state.residual)
        if progress is not None and not state.finished:
            progress(_progress(local, state))
    found = local.solver.solution(local.problem, state, trace)
    calls = {name: count + found.calls[name] for name, count in solution.calls.items()}
    if not found.assessments or not operator.is_better(found.assessments[0], solution.assessments[0]):
        return replace(solution, calls=calls)
    trail, sizes = torch.cat([solution.trace, found.trace]), [*solution.sizes, *found.sizes]
    return replace(found, trace=trail, sizes=sizes, calls=calls)


def alike(drawn: Sequence[Solution], measurement: tuple[int, ...]) -> Sequence[Solution]:
    """Draws of one measurement (C, H, W), one a solution, whose parameters have places in all if they have in one."""
    shapes = [{name: value.shape for name, value in one.parameters.items()} for one in drawn]
    if all(each == shapes[0] for each in shapes):
        return drawn
    able = [ability(one.operator, Regional) for one in drawn]
    operator = next(one.operator for one, has_places in zip(drawn, able, strict=True) if has_places is not None)
    regional = ability(operator, Regional)
    assert operator is not None and regional is not None
    specs, found = operator.parameters(operator.image_shape(measurement)), []
    for one, has_places in zip(drawn, able, strict=True):
        if has_places is None:
            spread = constrained(operator, specs, regional.spread(one.parameters, measurement))
            one = replace(one, parameters=spread, operator=operator)
        found.append(one)
    return found


def places(operator: ParametricOperator, own: ParametricOperator, parameters: Mapping[str, Tensor]) -> str:
    """What parameters (C, h, w) have places in a result, in words; "": none.

    Args:
        operator: that was given.
        own: whose parameters they are.
        parameters: by name.
    """
    if ability(own, Regional) is None or ability(operator, Regional) is not None:
        return ""
    name, count = next((name, len(value)) for name, value in parameters.items())
    side = math.isqrt(count)
    return f"the {name} differs from place to place: there is one for each of {side} x {side} parts of the picture"


def _progress(local: Local, state: State) -> Progress:
    """How far a draw is."""
    level = Level(local.solver, local.problem, dict)

    def estimate() -> Unknowns:
        found = Multiscale(local.solver).estimate((level,), state)
        return {name: value[0].cpu() for name, value in found.items()}

    residual = (state.residual.cpu() / local.problem.observation.noise.flatten().cpu()).square().mean().sqrt()
    return Progress(state.index, state.total, float(residual), state.index / state.total, estimate)
