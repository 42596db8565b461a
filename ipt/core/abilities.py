"""What only some operators and rules can do: a small class each, which they also have as a base.

A wrapper (several operators composed, several frames) has an ability only where what it wraps has it. So abilities are
asked for with `ability`, never with isinstance.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ipt.core.covariance import Covariance
from ipt.core.observation import Observation
from ipt.core.operator import ParametricOperator, Unknowns

if TYPE_CHECKING:
    from torch import Tensor

Ability = TypeVar("Ability")


class Wrapper(ABC):
    """A component made of others, whose abilities depend on theirs."""

    @abstractmethod
    def has(self, kind: type) -> bool:
        """Whether what is wrapped allows an ability that the class of the wrapper has as a base."""


def ability(component: object, kind: type[Ability]) -> Ability | None:
    """A component as one that has an ability; None where it has it not."""
    if not isinstance(component, kind) or (isinstance(component, Wrapper) and not component.has(kind)):
        return None
    return component


class Linear:
    """`forward` is linear in the image, whatever the parameters: a promise, which `ipt.testing` checks."""


@dataclass(frozen=True)
class Belief:
    """What is believed of an unknown (B, C, H, W) before it is weighed against the measurement, in physical units.

    Attributes:
        mean: (B, C, H, W).
        covariance: of what is uncertain about it.
        sigma: standard deviation of the noise through which a denoiser saw the unknown; an operator that knows how its
            unknowns are correlated can tell from it what the denoiser could not see. Infinite: it saw nothing.
        prior_covariance: of the unknown itself, of a prior that is Gaussian about zero; else None.
    """

    mean: Tensor
    covariance: Covariance
    sigma: float = math.inf
    prior_covariance: Covariance | None = None


class ExactSteps(ABC):
    """The steps of a rule that alternates between image and parameters, in closed form or by a fast solver.

    A step that honours no mask, or cannot be taken, answers None: the rule then takes its own.
    """

    @abstractmethod
    def image_step(
        self,
        observation: Observation,
        image: Belief,
        parameters: Mapping[str, Tensor],
        beliefs: Mapping[str, Belief],
    ) -> Tensor | None:
        """The image that best weighs the measurement against the belief about it, given parameters.

        It minimises ||M (y - A(x))||^2 / noise^2 + (x - mean)' C^-1 (x - mean).

        Args:
            observation: what was measured.
            image: the belief about the image.
            parameters: all of them, valid.
            beliefs: about the unknown parameters, as `parameter_step` had them, for an operator that counts what is
                uncertain in them as noise.

        Returns:
            (B, C, H, W), or None.
        """

    @abstractmethod
    def parameter_step(
        self,
        observation: Observation,
        image: Belief,
        parameters: Mapping[str, Belief],
        known: Mapping[str, Tensor],
    ) -> Unknowns | None:
        """The unknown parameters that best explain the measurement, given beliefs about the image and about them.

        Args:
            observation: what was measured.
            image: the belief about the image.
            parameters: beliefs about the unknown parameters; means are as their normalizations give them, before
                `constrain`.
            known: the other parameters.

        Returns:
            The unknown parameters by name, before `constrain`; or None.
        """


class MultiFrame(ExactSteps):
    """Exact steps that take F measurements of each image: an observation, parameters and beliefs of F times the
    image's batch, the F frames of an image one after the other."""


@dataclass(frozen=True)
class Coarser:
    """An operator for images of half the sides, and the way back.

    Attributes:
        operator: of such an image it measures about the measurement of half the sides (`ipt.core.multiscale.halved`).
        enlarged: from its valid parameters to the finer operator's, as their normalizations give them, before
            `constrain`.
    """

    operator: ParametricOperator
    enlarged: Callable[[Unknowns], Unknowns]


class Coarsenable(ABC):
    """An operator whose parameters are more easily found in a smaller image."""

    @abstractmethod
    def coarser(self, image_shape: tuple[int, ...]) -> Coarser | None:
        """This operator for images of half the height and width of (C, H, W), rounded up; None: there is nothing to
        gain for such images."""


class Canonicalizable(ABC):
    """An operator with solutions that explain a measurement alike."""

    @abstractmethod
    def canonicalize(self, image: Tensor, parameters: Mapping[str, Tensor]) -> tuple[Tensor, Unknowns]:
        """Of such solutions the one to report: what the data cannot tell is as the operator's convention has it (a
        kernel centred, and the image moved accordingly).

        Args:
            image: (B, C, H, W), physical, as what is returned.
            parameters: all of them, valid, all of them found rather than known.
        """


class CoarseToFine(ABC):
    """A rule with which a solve may begin with a smaller image."""

    @abstractmethod
    def restart(self, doubling: int) -> float | None:
        """The noise level of the schedule at which a solve goes on once the image has been doubled for the first,
        second ... time (doubling 1, 2, ...); None: images are solved at their own size alone."""
