"""Operators that assess several independent draws of one posterior together, because right draws agree."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from torch import Tensor

from ipt.core.abilities import Assessment, ability
from ipt.core.operator import ParametricOperator


class Comparable(ABC):
    """An `Assessable` operator that can compare draws: wrong solutions differ from each other, right ones agree."""

    @abstractmethod
    def compared(self, assessments: Sequence[Assessment], parameters: Mapping[str, Tensor]) -> list[Assessment]:
        """The assessments of draws, given the other draws.

        Args:
            assessments: of each draw alone, two or more.
            parameters: of the draws, physical and valid, (draws, C, H, W) by name.

        Returns:
            One assessment for each draw, in the same order.
        """


def compare_draws(
    operator: ParametricOperator, assessments: Sequence[Assessment], parameters: Mapping[str, Tensor]
) -> Sequence[Assessment]:
    """Assessments of draws, compared with each other where there are several and the operator is `Comparable`."""
    comparable = ability(operator, Comparable)
    if comparable is None or len(assessments) < 2:
        return assessments
    return comparable.compared(assessments, parameters)
