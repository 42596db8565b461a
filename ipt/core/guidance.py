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

    noisy: Unknowns  # with a rule that needs gradients, leaves of the graph of `clean`
    posteriors: Mapping[str, Posterior]  # what the priors make of them
    levels: Mapping[str, float]  # their noise levels: sigma times the rule's `noise_ratio`
    sigma: float
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
    """A rule's answer, normalized, by unknown: only what changes."""

    clean: Unknowns = field(default_factory=dict)  # corrected estimates, in place of the priors'
    shift: Unknowns = field(default_factory=dict)  # added after the transition


class GuidanceRule(ABC):
    """How the measurement corrects the unknowns at one step, and what a solve with it usually is."""

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
