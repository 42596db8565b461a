"""Which of several draws make up the result: the one that is most likely right, or the mean of all that are."""

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
    """The draws that make up the result, and their mean.

    Attributes:
        draws: their numbers among the task's draws; often a single one.
        whole: the image with its surroundings, (1, C, H, W).
        parameters: physical and valid, by name, (1, C, H, W) each.
        probability: that the parameters are right, where the operator can tell; the mean over the draws.
        doubt: what seems to be wrong with the likeliest of them, in words.
    """

    draws: tuple[int, ...]
    whole: Tensor
    parameters: Unknowns
    probability: float | None = None
    doubt: str = ""


def mean_of(draws: Tensor, chosen: Sequence[int]) -> Tensor:
    """The mean of some draws (K, ...); a single one is not copied, since it may be large."""
    return draws[chosen[0]] if len(chosen) == 1 else draws[list(chosen)].mean(0)


def likeliest(assessments: Sequence[Assessment], draws: Sequence[int] | None = None) -> int:
    """The number of the draw that is most likely right, among all or the given draws; the first of equal ones."""
    return max(range(len(assessments)) if draws is None else draws, key=lambda draw: assessments[draw].probability)


def result_draws(task: SamplingTask, assessments: Sequence[Assessment]) -> tuple[int, ...]:
    """The draws that make up the result.

    If several seeds were asked for, all draws that are likely right; else, or if there are none, the likeliest.
    """
    likely = tuple(draw for draw, one in enumerate(assessments) if one.probability >= LIKELY)
    return likely if len(task.seeds) > 1 and likely else (likeliest(assessments),)


def chosen(task: SamplingTask, solution: Solution) -> Chosen:
    """The mean of `result_draws`; the mean of all draws if the operator cannot assess them."""
    assessments = solution.assessments
    draws = result_draws(task, assessments) if assessments else tuple(range(len(solution.whole)))
    own = list(draws)
    means = {name: value[own].mean(0, keepdim=True) for name, value in solution.parameters.items()}
    whole, operator = mean_of(solution.whole, own)[None], task.operator_of(solution)
    mean = Chosen(draws, whole, constrained(operator, operator.parameters(tuple(whole.shape[1:])), means))
    if not assessments:
        return mean
    probability = sum(assessments[draw].probability for draw in draws) / len(draws)
    return replace(mean, probability=probability, doubt=assessments[likeliest(assessments, draws)].doubt)
