"""Which of several draws is the result, or their mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from ipt.core.abilities import Assessment
from ipt.core.operator import Unknowns, constrained
from ipt.core.solver import Solution
from ipt.solve.task import SamplingTask
from ipt.solve.verdict import LIKELY


@dataclass(frozen=True)
class Chosen:
    """What of several draws is the result.

    Attributes:
        draws: those whose mean it is; often a single one.
        whole: the image, (1, C, H, W).
        parameters: physical and valid, by name, (1, C, H, W) each.
        probability: that the parameters are right, where the operator can tell; of several draws their mean.
        doubt: what seems to be wrong with them, in words.
    """

    draws: tuple[int, ...]
    whole: Tensor
    parameters: Unknowns
    probability: float | None = None
    doubt: str = ""


def mean_of(draws: Tensor, chosen: Sequence[int]) -> Tensor:
    """The mean of some draws (K, ...); a single one is not copied, since it may be large."""
    return draws[chosen[0]] if len(chosen) == 1 else draws[list(chosen)].mean(0)


def result_draws(task: SamplingTask, assessments: Sequence[Assessment]) -> tuple[int, ...]:
    """The draws whose mean is the result: those that are likely right, or where none is the likeliest.

    Of the seeds that were asked for, all may be in the mean; one from the reserve stands for the task alone.
    """
    draws = tuple(range(len(assessments)))
    likely = tuple(draw for draw in draws if assessments[draw].probability >= LIKELY)
    if len(task.seeds) > 1 and likely:
        return likely
    return (max(draws, key=lambda draw: assessments[draw].probability),)


def chosen(task: SamplingTask, solution: Solution) -> Chosen:
    """The mean of `result_draws`; of all draws, where nothing tells which are right."""
    assessments = solution.assessments
    draws = result_draws(task, assessments) if assessments else tuple(range(len(solution.whole)))
    own = list(draws)
    means = {name: value[own].mean(0, keepdim=True) for name, value in solution.parameters.items()}
    whole, operator = mean_of(solution.whole, own)[None], solution.operator or task.solver.operator
    found = Chosen(draws, whole, constrained(operator, operator.parameters(tuple(whole.shape[1:])), means))
    if not assessments:
        return found
    likeliest = max(draws, key=lambda draw: assessments[draw].probability)
    probability = sum(assessments[draw].probability for draw in draws) / len(draws)
    return replace(found, probability=probability, doubt=assessments[likeliest].doubt)
