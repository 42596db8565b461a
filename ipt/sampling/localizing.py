"""A solve gone on with where parameters that were taken to hold everywhere differ from place to place.

One kernel for all of a picture is found first: all of the picture tells of it. Where it does not explain what was
measured, each part of the picture has a kernel of its own for the last noise levels, which begins as that of all.
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
"""Noise level that the last part begins with: docs/method.md, Shake."""


@dataclass(frozen=True)
class Locally:
    """With what a solve goes on.

    Attributes:
        operator: a registered name, of an `ipt.sampling.regional.Regional` operator.
        options: its.
        start: parameters, as its `of_region` has them before `constrain`, (1, C, h, w) by name.
    """

    operator: str
    options: Mapping[str, object]
    start: Unknowns


class Localizable(ABC):
    """An operator whose parameters hold everywhere in the frame, and which knows one where they have places."""

    @abstractmethod
    def may_be_local(self, measurement: tuple[int, ...]) -> bool:
        """Whether it can be told of a measurement (C, H, W)."""

    @abstractmethod
    def local(
        self, assessment: Assessment, parameters: Mapping[str, Tensor], measurement: tuple[int, ...]
    ) -> Locally | None:
        """With what to go on from a draw; None: its parameters hold everywhere.

        Args:
            assessment: of the draw.
            parameters: its, physical and valid, (1, C, h, w) by name.
            measurement: (C, H, W).
        """

    @abstractmethod
    def is_better(self, local: Assessment, before: Assessment) -> bool:
        """Whether a solution whose parameters have places is kept, or the one that it went on from."""


@dataclass(frozen=True)
class Local:
    """The last part of a solve, with parameters that have places.

    Attributes:
        solver: with an operator that is `Regional`.
        problem: of one measurement.
    """

    solver: Solver
    problem: Problem

    @classmethod
    def of(cls, solver: Solver, operator: ParametricOperator, observation: Observation) -> Local | None:
        """Of a solver whose parameters hold everywhere; None where a prior takes none that have places."""
        try:
            problem = Problem.posed(operator, solver.priors, observation)
        except ValueError:
            return None
        return cls(replace(solver, operator=operator, schedule=schedule(solver)), problem)

    def spread(self, parameters: Mapping[str, Tensor]) -> Unknowns:
        """Parameters that hold everywhere, (B, C, h, w), as those that have places begin."""
        regional = ability(self.solver.operator, Regional)
        assert regional is not None
        return regional.spread(parameters, tuple(self.problem.observation.measurement.shape[1:]))

    def steps(
        self, whole: Tensor, start: Mapping[str, Tensor], seed: int, rivals: Mapping[str, Tensor]
    ) -> Iterator[State]:
        """From what was found on; a State a step.

        Args:
            whole: the image, physical, (1, C, H, W).
            start: parameters that hold everywhere, as they begin, (1, C, h, w) by name.
            seed: of the random numbers.
            rivals: as of a `State`.
        """
        physical = {IMAGE: whole, **self.spread(start)}
        clean = {name: one.normalized(physical[name]) for name, one in self.problem.normalizations.items()}
        first = self.solver.start(self.problem, Noise([seed]), clean)
        for state in self.solver.steps(self.problem, [seed], replace(first, rivals=rivals)):
            yield replace(state, rivals=rivals)


def schedule(solver: Solver) -> Tail:
    """The last noise levels of a solver, which are gone through once more."""
    return Tail(solver.schedule or solver.rule.schedule(), _START)
