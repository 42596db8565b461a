"""Refinement with local parameters, which differ from place to place: a solve continued from one global parameter.

    solution with one kernel --spread--> a kernel for each part of the picture, noise added --> last noise levels again

One kernel is found first, because the whole picture determines it. If it does not explain the measurement, each part of
the picture gets a kernel of its own for the last noise levels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor

from ipt.core.abilities import Assessment
from ipt.core.solver import Solver
from ipt.sampling.continuing import Continuation
from ipt.sampling.schedules import Tail

_START = 0.15
"""Noise level at which the refinement begins: docs/method.md, Shake."""


class Localizable(ABC):
    """An operator with global parameters, which hold in all of the frame, that names one with local parameters."""

    @abstractmethod
    def may_be_local(self, measurement: tuple[int, ...]) -> bool:
        """Whether solutions of a measurement (C, H, W) may be refined."""

    @abstractmethod
    def local(
        self, assessment: Assessment, parameters: Mapping[str, Tensor], measurement: tuple[int, ...]
    ) -> Continuation | None:
        """The operator to refine a draw with; None if its parameters hold everywhere.

        Args:
            assessment: of the draw.
            parameters: of the draw, physical and valid, (1, C, h, w) by name.
            measurement: shape, (C, H, W).
        """

    @abstractmethod
    def is_better(self, local: Assessment, before: Assessment) -> bool:
        """Whether the refined solution is kept, given its assessment and that of the solution it began from."""


def schedule(solver: Solver) -> Tail:
    """The last noise levels of a solver, which a refinement repeats."""
    return Tail(solver.schedule or solver.rule.schedule(), _START)
