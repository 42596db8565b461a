"""What only some operators and rules can do: a small class each, which they also have as a base."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from ipt.core.operator import ParametricOperator, Unknowns
from ipt.core.prior import Prior

if TYPE_CHECKING:
    from torch import Tensor

    from ipt.core.observation import Observation
    from ipt.linalg.covariances import Covariance

Ability = TypeVar("Ability")


class Wrapper(ABC):
    """A component made of others: it has an ability only where its class has, and what it wraps allows it."""

    @abstractmethod
    def allows(self, kind: type) -> bool:
        """Whether what is wrapped allows an ability."""


def ability(component: object, kind: type[Ability]) -> Ability | None:
    """A component as one that has an ability, None if it has it not; isinstance would be wrong for wrappers."""
    if isinstance(component, Wrapper) and not component.allows(kind):
        return None
    return component if isinstance(component, kind) else None


class Linear:
    """`forward` is linear in the image, whatever the parameters: a promise, which `ipt.testing` checks."""


@dataclass(frozen=True)
class MeasurementSpec:
    """What an operator measures."""

    meaning: str  # what it is, in a few words
    unit: str = ""
    is_complex: bool = False  # the second half of its channels are the imaginary parts of the first
    noise: float | None = None  # its usual standard deviation, in `unit`; None: with a gain 0, else not known
    gain: float = 0.0  # variance of its noise for each unit of signal: 1 / peak where a signal of 1 is so many counts


class PhysicalUnits(ABC):
    """An operator that measures no pictures in 0..1: any range, any number of channels, in units of its own."""

    @abstractmethod
    def measured(self) -> MeasurementSpec:
        """What it measures."""


@dataclass(frozen=True)
class Belief:
    """What is believed of an unknown before it is weighed against the measurement, in physical units."""

    mean: Tensor  # (B, C, H, W); of a parameter before `constrain`
    covariance: Covariance  # of what is uncertain about it
    sigma: float = math.inf  # level of the noise through which a denoiser saw it, and could not see all; inf: nothing
    prior_covariance: Covariance | None = None  # as of `ipt.core.prior.Posterior`
    white: Tensor | None = None  # noise: an image step that can draw with it from its Gaussian, does, not its mean


class ExactSteps(ABC):
    """Image and parameters found in turn, each in closed form or by a fast solver.

    A step that cannot be taken, or would not honour the observation's mask, answers None: the rule has its own.
    """

    @abstractmethod
    def image_step(
        self, observation: Observation, image: Belief, parameters: Mapping[str, Tensor], beliefs: Mapping[str, Belief]
    ) -> Tensor | None:
        """The minimiser of ||M (y - A(x))||^2 / noise^2 + (x - mean)' C^-1 (x - mean), (B, C, H, W).

        parameters: all of them, valid. beliefs: about the unknown ones; what is uncertain in them may count as noise.
        """

    @abstractmethod
    def parameter_step(
        self, observation: Observation, image: Belief, parameters: Mapping[str, Belief], known: Mapping[str, Tensor]
    ) -> Unknowns | None:
        """The unknown parameters that best explain the measurement given the beliefs, before `constrain`."""


class MultiFrame(ExactSteps):
    """Steps that take F times as many measurements, parameters and beliefs as images; of shared ones, one an image."""


class Framed(ABC):
    """An operator whose image is larger than the frame that was measured.

    What lies around the frame is solved for as well, and cut off at the end.
    """

    @abstractmethod
    def frame(self, image_shape: tuple[int, ...]) -> tuple[slice, slice]:
        """Rows and columns of the frame in an image (C, H, W)."""


class FrameAware(ABC):
    """A prior of images that has to know where in the image the frame is."""

    @abstractmethod
    def within(self, frame: Callable[[tuple[int, ...]], tuple[slice, slice]]) -> Prior:
        """This prior for an operator with this `Framed.frame`."""


class Resizable(ABC):
    """An operator whose parameters may be given in other sizes than its own."""

    @abstractmethod
    def resized(self, known: Mapping[str, Tensor]) -> ParametricOperator:
        """This operator for given parameters, (B, C, H, W) by name, of any size."""

    @abstractmethod
    def rescaled(self, known: Mapping[str, Tensor], scale: float) -> Unknowns:
        """Given parameters, (B, C, H, W) by name, for an image that is scaled by a factor."""


def framed_shape(operator: ParametricOperator, image_shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape (C, H, W) of what is reported of an image: of its frame, where the operator is `Framed`."""
    framed = ability(operator, Framed)
    if framed is None:
        return image_shape
    rows, columns = framed.frame(image_shape)
    return image_shape[0], rows.stop - rows.start, columns.stop - columns.start


@dataclass(frozen=True)
class Coarser:
    """An operator for images of half the sides."""

    operator: ParametricOperator  # of a halved image it measures about the halved measurement
    enlarged: Callable[[Unknowns], Unknowns]  # from its valid parameters to the finer operator's, before `constrain`


class Coarsenable(ABC):
    """An operator whose parameters are more easily found in a smaller image."""

    @abstractmethod
    def coarser(self, image_shape: tuple[int, ...]) -> Coarser | None:
        """The operator for half the height and width of (C, H, W), rounded up; None: there is nothing to gain."""


class Canonicalizable(ABC):
    """An operator with solutions that explain a measurement alike."""

    @abstractmethod
    def canonicalize(self, image: Tensor, parameters: Mapping[str, Tensor]) -> tuple[Tensor, Unknowns]:
        """The solution to report of those like a physical, valid one, all of it found: a kernel centred, for one."""


@dataclass(frozen=True)
class Assessment:
    """How far a solution can be relied on, by what can be known without the truth."""

    probability: float  # that the solution is right, calibrated on solves whose truth was known
    doubt: str = ""  # what seems to be wrong, in words; empty: nothing
    evidence: Mapping[str, float] = field(default_factory=dict)  # what it was judged by


class Assessable(ABC):
    """An operator that can tell right solutions from wrong ones, where all its parameters were unknown."""

    @abstractmethod
    def assess(
        self,
        observation: Observation,
        image: Tensor,
        parameters: Mapping[str, Tensor],
        rivals: Mapping[str, Tensor],
        denoise: Callable[[Tensor, float], Tensor],
    ) -> list[Assessment]:
        """One of each solution, physical and valid, or none where that cannot be told.

        rivals: of draws that competed, several of each solution in a row. denoise: of images and levels in 0..1.
        """


class CoarseToFine(ABC):
    """A rule with which a solve may begin with smaller images."""

    @abstractmethod
    def restart(self, doubling: int) -> float | None:
        """The noise level to go on from after the `doubling`-th doubling of the image; None: there are none."""
