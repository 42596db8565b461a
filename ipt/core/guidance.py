"""How the measurement corrects the unknowns at one step of the loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ipt.core.operator import ParameterSpec, Unknowns
from ipt.core.prior import Posterior

if TYPE_CHECKING:
    from ipt.core.problem import Problem
    from ipt.core.sampling import Schedule, Transition


@dataclass(frozen=True)
class Step:
    """One step of the loop as a rule sees it.

    Attributes:
        noisy: every unknown's normalized variable; with a rule that needs gradients, leaves of the graph of `clean`.
        posteriors: what its prior makes of it.
        sigma: the schedule's noise level.
        sigma_next: the next one, sigma > sigma_next >= 0.
        index: from 0 to total - 1.
        total: steps of the schedule.
        levels: each unknown's own noise level, sigma times the rule's `noise_ratio`.
    """

    noisy: Unknowns
    posteriors: Mapping[str, Posterior]
    sigma: float
    sigma_next: float
    index: int
    total: int
    levels: Mapping[str, float]

    @property
    def clean(self) -> Unknowns:
        """The priors' estimates, normalized."""
        return {name: posterior.mean for name, posterior in self.posteriors.items()}


@dataclass(frozen=True)
class Correction:
    """A rule's answer, normalized, by name: only what changes.

    Attributes:
        clean: corrected estimates, in place of the priors'.
        shift: added after the transition.
    """

    clean: Unknowns = field(default_factory=dict)
    shift: Unknowns = field(default_factory=dict)


class GuidanceRule(ABC):
    """How the measurement corrects the unknowns at one step."""

    @property
    @abstractmethod
    def needs_gradients(self) -> bool:
        """Whether `correct` differentiates through the priors."""

    @abstractmethod
    def schedule(self, steps: int | None = None) -> Schedule:
        """The noise levels this rule works best with, in `steps` steps (None: its usual number)."""

    @abstractmethod
    def transition(self) -> Transition:
        """The transition this rule works best with."""

    @abstractmethod
    def correct(self, step: Step, problem: Problem) -> Correction:
        """The correction for this step. Every norm is per image."""

    def noise_ratio(self, name: str, spec: ParameterSpec) -> float:
        """The noise level of a parameter as a share of the schedule's, which is the image's. Default: 1."""
        return 1.0
