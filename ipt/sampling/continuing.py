"""A solve that continues from an image and parameters, with an operator of its own.

image, parameters --noise added--> last noise levels again --> image, parameters
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from ipt.core.observation import Observation
from ipt.core.operator import IMAGE, ParametricOperator, Unknowns
from ipt.core.problem import Problem
from ipt.core.solver import Solver, State
from ipt.linalg.random import Noise


@dataclass(frozen=True)
class Continuation:
    """The operator with which a solve continues, and where it begins.

    Attributes:
        operator: a registered name.
        options: of the operator.
        start: its parameters, before `constrain`, (1, C, h, w) by name.
    """

    operator: str
    options: Mapping[str, object]
    start: Unknowns


@dataclass(frozen=True)
class Continued:
    """The solve that continues.

    Attributes:
        solver: with the operator, and the noise levels.
        problem: of one measurement.
    """

    solver: Solver
    problem: Problem

    @classmethod
    def of(cls, solver: Solver, operator: ParametricOperator, observation: Observation) -> Continued | None:
        """The continued solve of a solver with another operator; None if a prior does not take its parameters."""
        try:
            problem = Problem.posed(operator, solver.priors, observation)
        except ValueError:
            return None
        return cls(replace(solver, operator=operator), problem)

    def steps(
        self, whole: Tensor, start: Mapping[str, Tensor], seed: int, rivals: Mapping[str, Tensor]
    ) -> Iterator[State]:
        """Continue, yielding a State after each step.

        Args:
            whole: the image with its surroundings, physical, (1, C, H, W).
            start: the parameters to begin with, (1, C, h, w) by name.
            seed: of the random numbers.
            rivals: of the solution so far, as of a `State`.
        """
        physical = {IMAGE: whole, **start}
        clean = {name: one.normalized(physical[name]) for name, one in self.problem.normalizations.items()}
        first = self.solver.start(self.problem, Noise([seed]), clean)
        for state in self.solver.steps(self.problem, [seed], replace(first, rivals=rivals)):
            yield replace(state, rivals=rivals)
