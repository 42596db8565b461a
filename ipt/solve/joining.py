"""Draws side by side as one solution, and one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ipt.core.solver import Solution
from ipt.sampling.comparable import compare_draws
from ipt.solve.local import alike
from ipt.solve.task import SamplingTask


def apart(made: Solution) -> list[Solution]:
    """Its draws, one a solution."""
    if len(made.image) == 1:
        return [made]
    return [
        replace(
            made,
            image=made.image[own],
            whole=made.whole[own],
            parameters={name: value[own] for name, value in made.parameters.items()},
            residual=made.residual[own],
            trace=made.trace[:, own],
            assessments=made.assessments[own],
        )
        for own in (slice(draw, draw + 1) for draw in range(len(made.image)))
    ]


def joined(task: SamplingTask, drawn: Sequence[Solution]) -> Solution:
    """A task's draws, one a solution, as one: what is thought of each is that beside the others."""
    drawn = alike(drawn, task.shape)
    first, longest = drawn[0], max(drawn, key=lambda one: len(one.trace))
    parameters = {name: _one([one.parameters[name] for one in drawn]) for name in first.parameters}
    judged = [one.assessments[0] for one in drawn] if first.assessments else ()
    return replace(
        longest,
        image=_one([one.image for one in drawn]),
        whole=_one([one.whole for one in drawn]),
        parameters=parameters,
        residual=torch.cat([one.residual for one in drawn]),
        trace=torch.cat([_as_long(one.trace, len(longest.trace)) for one in drawn], dim=1),
        calls={name: sum(one.calls[name] for one in drawn) for name in first.calls},
        assessments=compare_draws(task.solver.operator, judged, parameters),
    )


def _as_long(trace: Tensor, steps: int) -> Tensor:
    """A trace (at most `steps`, 1), its last residual repeated."""
    return torch.cat([trace, trace[-1:].expand(steps - len(trace), 1)])


def _one(parts: Sequence[Tensor]) -> Tensor:
    """Tensors one after the other; a single one is not copied, since a tile's is one of many."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
