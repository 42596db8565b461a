"""Refinement with local parameters, which differ from place to place: a solve continued from one global parameter.

    solution with one kernel --spread--> a kernel for each part of the picture, noise added --> last noise levels again

One kernel is found first, because the whole picture determines it. If it does not explain the measurement, each part of
the picture gets a kernel of its own for the last noise levels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from ipt.core.abilities import Assessment, ability
from ipt.core.observation import Observation
from ipt.core.operator import IMAGE, ParametricOperator, Unknowns
from ipt.core.problem import Problem
from ipt.core.solver import Solver, State
from ipt.linalg.random import Noise
from ipt.sampling.regional import Regional
from ipt.sampling.schedules import Tail

_START = 0.15
"""Noise level at which the refinement begins: docs/method.md, Shake."""


@dataclass(frozen=True)
class Locally:
    """The operator of a refinement, and where it begins.

    Attributes:
        operator: the registered name of an operator that is `ipt.sampling.regional.Regional`.
        options: of the operator.
        start: parameters of its `of_region`, before `constrain`, (1, C, h, w) by name.
    """

    operator: str
    options: Mapping[str, object]
    start: Unknowns


class Localizable(ABC):
    """An operator with global parameters, which hold in all of the frame, that names one with local parameters."""

    @abstractmethod
    def may_be_local(self, measurement: tuple[int, ...]) -> bool:
        """Whether solutions of a measurement (C, H, W) may be refined."""

    @abstractmethod
    def local(
        self, assessment: Assessment, parameters: Mapping[str, Tensor], measurement: tuple[int, ...]
    ) -> Locally | None:
        """The operator to refine a draw with; None if its parameters hold everywhere.

        Args:
            assessment: of the draw.
            parameters: of the draw, physical and valid, (1, C, h, w) by name.
            measurement: shape, (C, H, W).
        """

    @abstractmethod
    def is_better(self, local: Assessment, before: Assessment) -> bool:
        """Whether the refined solution is kept, given its assessment and that of the solution it began from."""


@dataclass(frozen=True)
class Local:
    """A refinement.

    Attributes:
        solver: with an operator that is `Regional`, and the last noise levels.
        problem: of one measurement.
    """

    solver: Solver
    problem: Problem

    @classmethod
    def of(cls, solver: Solver, operator: ParametricOperator, observation: Observation) -> Local | None:
        """The refinement for a solver with another operator; None if a prior does not take its local parameters."""
        try:
            problem = Problem.posed(operator, solver.priors, observation)
        except ValueError:
            return None
        return cls(replace(solver, operator=operator, schedule=schedule(solver)), problem)

    def spread(self, parameters: Mapping[str, Tensor]) -> Unknowns:
        """Global parameters, (B, C, h, w) by name, as the local parameters that the refinement begins with."""
        regional = ability(self.solver.operator, Regional)
        assert regional is not None
        return regional.spread(parameters, tuple(self.problem.observation.measurement.shape[1:]))

    def steps(
        self, whole: Tensor, start: Mapping[str, Tensor], seed: int, rivals: Mapping[str, Tensor]
    ) -> Iterator[State]:
        """Refine a solution, yielding a State after each step.

        Args:
            whole: its image with the surroundings, physical, (1, C, H, W).
            start: the global parameters to begin with, (1, C, h, w) by name.
            seed: of the random numbers.
            rivals: of the solution, as of a `State`.
        """
        physical = {IMAGE: whole, **self.spread(start)}
        clean = {name: one.normalized(physical[name]) for name, one in self.problem.normalizations.items()}
        first = self.solver.start(self.problem, Noise([seed]), clean)
        for state in self.solver.steps(self.problem, [seed], replace(first, rivals=rivals)):
            yield replace(state, rivals=rivals)


def schedule(solver: Solver) -> Tail:
    """The last noise levels of a solver, which a refinement repeats."""
    return Tail(solver.schedule or solver.rule.schedule(), _START)
