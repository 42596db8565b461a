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
    from ipt.linalg.random import Noise


@dataclass(frozen=True)
class Step:
    """One step of the loop as a rule sees it: normalized, by unknown."""

    noisy: Unknowns  # for a rule that needs gradients, leaves of the graph of `clean`
    posteriors: Mapping[str, Posterior]  # of the clean unknowns given the noisy ones, by their priors
    levels: Mapping[str, float]  # noise levels of the unknowns: sigma times the rule's `noise_ratio`
    sigma: float  # noise level of the image
    sigma_next: float  # 0 <= sigma_next < sigma
    index: int  # from 0 to total - 1
    total: int
    random: Noise | None = None  # the images' random streams

    @property
    def clean(self) -> Unknowns:
        """The priors' estimates."""
        return {name: posterior.mean for name, posterior in self.posteriors.items()}


@dataclass(frozen=True)
class Correction:
    """A rule's answer, normalized, by unknown; unknowns that do not change may be left out."""

    clean: Unknowns = field(default_factory=dict)  # corrected estimates, in place of the priors'
    shift: Unknowns = field(default_factory=dict)  # added after the transition


class GuidanceRule(ABC):
    """How the measurement corrects the unknowns at one step, with the schedule and transition that suit it best."""

    @property
    @abstractmethod
    def needs_gradients(self) -> bool:
        """Whether `correct` differentiates through the priors."""

    @abstractmethod
    def schedule(self, steps: int | None = None) -> Schedule:
        """The noise levels that suit this rule best, in `steps` steps (None: its usual number)."""

    @abstractmethod
    def transition(self) -> Transition:
        """The transition that suits this rule best."""

    @abstractmethod
    def correct(self, step: Step, problem: Problem) -> Correction:
        """The correction for this step; every norm is per image."""

    def noise_ratio(self, name: str, spec: ParameterSpec) -> float:
        """The noise level of a parameter as a share of the image's, which is the schedule's. Default: 1."""
        return 1.0
