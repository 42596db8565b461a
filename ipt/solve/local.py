"""A draw refined with local parameters, where its operator finds that they differ from place to place.

solution --`Localizable.local`--> `Continuation` --`Continued.steps`--> refined solution --`is_better`--> one of both
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ipt.core.abilities import Assessment, CoarseToFine, ability
from ipt.core.operator import ParametricOperator
from ipt.core.solver import Solution
from ipt.linalg.random import image_seed
from ipt.plugins.building import build_component
from ipt.sampling.continuing import Continued
from ipt.sampling.levels import Level
from ipt.sampling.localizing import Localizable, schedule
from ipt.sampling.multiscale import Multiscale
from ipt.sampling.regional import Regional
from ipt.solve.progress import Listener, step_progress
from ipt.solve.task import SamplingTask
from ipt.solve.tiles import SIDE


def local_steps(task: SamplingTask) -> int:
    """Steps of a refinement; 0 if the task's draws are never refined.

    They are refined if the task is a whole picture in one tile, all parameters are unknown, and the rule can start at a
    noise level.
    """
    if task.known or task.from_parameters or math.prod(task.shape[-2:]) > SIDE**2:
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
    progress: Listener | None = None,
) -> Solution:
    """A draw refined with local parameters, whose operator is `Solution.operator` then.

    It stays as it is if the operator finds that its parameters hold everywhere, or that the refinement is not better.

    Args:
        task: what was solved.
        solution: the draw.
        assessment: of the draw, given the other draws.
        seed: of the draw.
        rivals: of the draw, as of an `ipt.core.solver.State`.
        progress: called after every step.
    """
    operator = ability(task.solver.operator, Localizable)
    if operator is None:
        return solution
    refinement = operator.local(assessment, solution.parameters, task.shape)
    if refinement is None:
        return solution
    local_operator = build_component("operator", refinement.operator, refinement.options)
    solver = replace(task.solver, schedule=schedule(task.solver))
    if (local := Continued.of(solver, local_operator, task.observation)) is None:
        return solution
    multiscale, levels = Multiscale(local.solver), (Level(local.solver, local.problem, dict),)
    trace = []
    for state in local.steps(solution.whole, refinement.start, image_seed(seed, "local"), rivals):
        trace.append(state.residual)
        if progress is not None and not state.finished:
            index, total = state.index, state.total
            progress(step_progress(multiscale, levels, state, [task.part], index, total, index / total))
    refined = local.solver.solution(local.problem, state, trace)
    calls = {name: count + refined.calls[name] for name, count in solution.calls.items()}
    if not refined.assessments or not operator.is_better(refined.assessments[0], solution.assessments[0]):
        return replace(solution, calls=calls)
    whole_trace, sizes = torch.cat([solution.trace, refined.trace]), [*solution.sizes, *refined.sizes]
    return replace(refined, trace=whole_trace, sizes=sizes, calls=calls)


def differing_parameters(
    given: ParametricOperator, operator: ParametricOperator, parameters: Mapping[str, Tensor]
) -> str:
    """A sentence on the parameters that a refinement made to differ from place to place; empty: there are none.

    Args:
        given: the operator that was given.
        operator: the operator of the parameters.
        parameters: (C, h, w) by name.
    """
    if ability(operator, Regional) is None or ability(given, Regional) is not None:
        return ""
    name, count = next((name, len(value)) for name, value in parameters.items())
    side = math.isqrt(count)
    return f"the {name} differs from place to place: there is one for each of {side} x {side} parts of the picture"
