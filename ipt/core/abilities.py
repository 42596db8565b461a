"""Abilities that only some operators and rules have: one small base class each, asked for by `ability`."""

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
    """A component made of others: it has an ability only where its class has it and what it wraps allows it."""

    @abstractmethod
    def allows(self, kind: type) -> bool:
        """Whether the wrapped components allow an ability, given by its class."""


def ability(component: object, kind: type[Ability]) -> Ability | None:
    """The component, if it has the ability, else None; isinstance alone would be wrong for wrappers."""
    if isinstance(component, Wrapper) and not component.allows(kind):
        return None
    return component if isinstance(component, kind) else None


class Linear:
    """`forward` is linear in the image for all parameters: a promise, which `ipt.testing` checks."""


@dataclass(frozen=True)
class MeasurementSpec:
    """What an operator measures where that is no picture."""

    meaning: str  # what it is, in a few words
    unit: str = ""
    is_complex: bool = False  # whether the second half of the channels are imaginary parts of the first half
    noise: float | None = None  # usual standard deviation of the noise, in `unit`; None: 0 with a gain, else unknown
    gain: float = 0.0  # variance of the noise per unit of signal: 1 / peak where a signal of 1 is `peak` counts


class PhysicalUnits(ABC):
    """An operator whose measurements are not pictures in 0..1: any range and channels, in units of its own."""

    @abstractmethod
    def measured(self) -> MeasurementSpec:
        """Meaning, unit and noise of the measurement."""


@dataclass(frozen=True)
class Belief:
    """A Gaussian belief about an unknown, before the measurement is taken into account; in physical units."""

    mean: Tensor  # (B, C, H, W); of a parameter before `constrain`
    covariance: Covariance  # of the mean's error
    sigma: float = math.inf  # noise level at which a denoiser made the estimate; inf: without having seen anything
    prior_covariance: Covariance | None = None  # as in `ipt.core.prior.Posterior`
    white: Tensor | None = None  # white noise with which an image step that can draws from its Gaussian; None: the mean


class ExactSteps(ABC):
    """Steps for image and parameters in turn, each in closed form or by a fast solver.

    A step that cannot be taken, or would ignore the observation's mask, returns None; the rule then takes its own.
    """

    @abstractmethod
    def image_step(
        self, observation: Observation, image: Belief, parameters: Mapping[str, Tensor], beliefs: Mapping[str, Belief]
    ) -> Tensor | None:
        """The minimiser of ||M (y - A(x))||^2 / noise^2 + (x - mean)' C^-1 (x - mean), (B, C, H, W).

        parameters: all of them, valid. beliefs: about the unknown ones, whose uncertainty may count as noise.
        """

    @abstractmethod
    def parameter_step(
        self, observation: Observation, image: Belief, parameters: Mapping[str, Belief], known: Mapping[str, Tensor]
    ) -> Unknowns | None:
        """The unknown parameters that best explain the measurement, given the beliefs; before `constrain`."""


class MultiFrame(ExactSteps):
    """Steps for F frames of each image: F times as many measurements and parameters, but shared ones once an image."""


class Framed(ABC):
    """An operator whose image is larger than the measured frame: its surroundings are solved for, then cut off."""

    @abstractmethod
    def frame(self, image_shape: tuple[int, ...]) -> tuple[slice, slice]:
        """Rows and columns of the frame in an image of this shape, (C, H, W)."""


class FrameAware(ABC):
    """A prior of images that depends on where the frame is in the image."""

    @abstractmethod
    def within(self, frame: Callable[[tuple[int, ...]], tuple[slice, slice]]) -> Prior:
        """This prior, for an operator with this `Framed.frame`."""


class Resizable(ABC):
    """An operator that can take known parameters of other sizes than its own."""

    @abstractmethod
    def resized(self, known: Mapping[str, Tensor]) -> ParametricOperator:
        """This operator, for known parameters of any size, (B, C, H, W) by name."""

    @abstractmethod
    def rescaled(self, known: Mapping[str, Tensor], scale: float) -> Unknowns:
        """Known parameters, (B, C, H, W) by name, converted to an image that is scaled by a factor."""


def framed_shape(operator: ParametricOperator, image_shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape (C, H, W) of the reported part of an image: its frame where the operator is `Framed`, else all."""
    framed = ability(operator, Framed)
    if framed is None:
        return image_shape
    rows, columns = framed.frame(image_shape)
    return image_shape[0], rows.stop - rows.start, columns.stop - columns.start


@dataclass(frozen=True)
class Coarser:
    """An operator for images at half the sides."""

    operator: ParametricOperator  # of a halved image it predicts about the halved measurement
    enlarged: Callable[[Unknowns], Unknowns]  # from its valid parameters to the finer operator's, before `constrain`


class Coarsenable(ABC):
    """An operator whose parameters are found more easily in a smaller image."""

    @abstractmethod
    def coarser(self, image_shape: tuple[int, ...]) -> Coarser | None:
        """The operator for half of the sides of (C, H, W), rounded up; None where a smaller image does not help."""


class Canonicalizable(ABC):
    """An operator with several solutions that explain a measurement equally well."""

    @abstractmethod
    def canonicalize(self, image: Tensor, parameters: Mapping[str, Tensor]) -> tuple[Tensor, Unknowns]:
        """The equivalent solution to report, such as a centred kernel; physical and valid, no parameter known."""


@dataclass(frozen=True)
class Assessment:
    """How reliable a solution is, judged without the truth."""

    probability: float  # that the solution is right, calibrated on solves whose truth was known, 0..1
    doubt: str = ""  # what seems to be wrong, in words; empty: nothing
    evidence: Mapping[str, float] = field(default_factory=dict)  # the numbers it was judged by


class Assessable(ABC):
    """An operator that can tell right solutions from wrong ones where all parameters were unknown."""

    @abstractmethod
    def assess(
        self,
        observation: Observation,
        image: Tensor,
        parameters: Mapping[str, Tensor],
        rivals: Mapping[str, Tensor],
        denoise: Callable[[Tensor, float], Tensor],
    ) -> list[Assessment]:
        """An assessment of each solution, physical and valid; an empty list where there can be none.

        rivals: parameters of competing draws, R for each solution in a row. denoise: takes image and level in 0..1.
        """


class CoarseToFine(ABC):
    """A rule with which a solve can begin with smaller images."""

    @abstractmethod
    def restart(self, doubling: int) -> float | None:
        """The noise level to continue from after the image's `doubling`-th doubling; None: there are no doublings."""
