"""Which of several draws is the result, or their mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

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


def chosen(task: SamplingTask, solution: Solution) -> Chosen:
    """The mean of the draws that are likely right, or where none is the likeliest; of all, where nothing tells.

    Of the seeds that were asked for, all may be in the mean; one from the reserve stands for the task alone.
    """
    assessments, draws = solution.assessments, tuple(range(len(solution.whole)))
    if assessments:
        best = max(draws, key=lambda draw: assessments[draw].probability)
        likely = tuple(draw for draw in draws if assessments[draw].probability >= LIKELY)
        draws = likely if len(task.seeds) > 1 and likely else (best,)
    own = list(draws)
    means = {name: value[own].mean(0, keepdim=True) for name, value in solution.parameters.items()}
    whole, operator = mean_of(solution.whole, own)[None], solution.operator or task.solver.operator
    found = Chosen(draws, whole, constrained(operator, operator.parameters(tuple(whole.shape[1:])), means))
    if not assessments:
        return found
    probability = sum(assessments[draw].probability for draw in draws) / len(draws)
    return replace(found, probability=probability, doubt=assessments[best].doubt)
