"""Several draws as one solution, and a solution as its draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ipt.core.abilities import ability
from ipt.core.operator import constrained
from ipt.core.solver import Solution
from ipt.sampling.comparable import compare_draws
from ipt.sampling.regional import Regional
from ipt.solve.task import SamplingTask


def split_draws(solution: Solution) -> list[Solution]:
    """The draws of a solution, one solution each; `calls` stay those of all."""
    if len(solution.image) == 1:
        return [solution]
    return [
        replace(
            solution,
            image=solution.image[own],
            whole=solution.whole[own],
            parameters={name: value[own] for name, value in solution.parameters.items()},
            residual=solution.residual[own],
            trace=solution.trace[:, own],
            assessments=solution.assessments[own],
        )
        for own in (slice(draw, draw + 1) for draw in range(len(solution.image)))
    ]


def join_draws(task: SamplingTask, draws: Sequence[Solution]) -> Solution:
    """A task's draws, one solution each, as one solution; their assessments are compared with each other."""
    draws = _with_equal_shapes(draws, task.shape)
    first, longest = draws[0], max(draws, key=lambda draw: len(draw.trace))
    parameters = {name: _concatenated([draw.parameters[name] for draw in draws]) for name in first.parameters}
    assessments = [draw.assessments[0] for draw in draws] if first.assessments else ()
    return replace(
        longest,
        image=_concatenated([draw.image for draw in draws]),
        whole=_concatenated([draw.whole for draw in draws]),
        parameters=parameters,
        residual=torch.cat([draw.residual for draw in draws]),
        trace=torch.cat([_lengthened(draw.trace, len(longest.trace)) for draw in draws], dim=1),
        calls={name: sum(draw.calls[name] for draw in draws) for name in first.calls},
        assessments=compare_draws(task.solver.operator, assessments, parameters),
    )


def _with_equal_shapes(draws: Sequence[Solution], measurement: tuple[int, ...]) -> Sequence[Solution]:
    """The draws of a measurement (C, H, W) with local parameters in all of them, if some were refined with these."""
    shapes = [{name: value.shape for name, value in draw.parameters.items()} for draw in draws]
    if all(shape == shapes[0] for shape in shapes):
        return draws
    operator = next(draw.operator for draw in draws if ability(draw.operator, Regional) is not None)
    regional = ability(operator, Regional)
    assert operator is not None and regional is not None
    specs = operator.parameters(operator.image_shape(measurement))
    return [
        draw
        if ability(draw.operator, Regional) is not None
        else replace(
            draw,
            parameters=constrained(operator, specs, regional.spread(draw.parameters, measurement)),
            operator=operator,
        )
        for draw in draws
    ]


def _lengthened(trace: Tensor, steps: int) -> Tensor:
    """A trace of at most `steps` residuals, (., 1), with its last one repeated up to (steps, 1)."""
    return torch.cat([trace, trace[-1:].expand(steps - len(trace), 1)])


def _concatenated(parts: Sequence[Tensor]) -> Tensor:
    """Tensors one after the other; a single one is not copied, since it may be large."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
