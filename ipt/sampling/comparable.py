"""Operators that know more of several independent draws of one posterior than of each for itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from torch import Tensor

from ipt.core.abilities import Assessment, ability
from ipt.core.operator import ParametricOperator


class Comparable(ABC):
    """An `Assessable` operator that judges draws beside each other: those that went astray did so each in its way."""

    @abstractmethod
    def compared(self, assessments: Sequence[Assessment], parameters: Mapping[str, Tensor]) -> list[Assessment]:
        """Of each draw what is to be thought of it, now that there are others.

        Args:
            assessments: of each for itself, two or more.
            parameters: of the draws, physical and valid, (draws, C, H, W) by name.

        Returns:
            One of each draw, in their order.
        """


def beside_each_other(
    operator: ParametricOperator, assessments: Sequence[Assessment], parameters: Mapping[str, Tensor]
) -> Sequence[Assessment]:
    """Assessments of draws (or none), as the operator compares them where there are several and it can."""
    comparable = ability(operator, Comparable)
    if comparable is None or len(assessments) < 2:
        return assessments
    return comparable.compared(assessments, parameters)
