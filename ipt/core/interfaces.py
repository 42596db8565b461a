"""The five abstractions that everything else implements: Prior, ParametricOperator, GuidanceRule, Transition,
Generator.

An unknown is a tensor with a name: "image", and the operator's parameters. Unknowns travel together in a dictionary and
are always found by name. Batch first; everything is per image, so an image alone and the same image in a batch give the
same answer.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from ipt.core.charts import Chart

# Torch is imported by what computes: a plugin whose classes stand beside its hooks does not slow `ipt list` down.
if TYPE_CHECKING:
    from torch import Tensor

    from ipt.core.problem import Problem
    from ipt.core.schedules import Schedule

Unknowns: TypeAlias = "dict[str, Tensor]"
IMAGE = "image"


@dataclass(frozen=True)
class Estimate:
    """What a prior says of a noisy variable.

    clean: E[clean | noisy], (B, C, H, W). variance_mix: for networks that learn their transition's variance, the place
    between the smallest (0) and the largest (1) on a logarithmic scale, same shape; else None (Nichol, Dhariwal,
    "Improved DDPM", arXiv 2102.09672, equation 15).
    """

    clean: Tensor
    variance_mix: Tensor | None = None


class Prior(ABC):
    """What is known of one unknown before measuring: a denoiser, and the chart of its variable.

    The variable is normalised to about -1..1; noise is measured in sigma, its standard deviation in that space
    (variance exploding: noisy = clean + sigma * noise).
    """

    @abstractmethod
    def chart(self, physical_shape: tuple[int, ...]) -> Chart:
        """The chart for a quantity of shape (C, H, W); ValueError, naming the shapes it takes, if it takes no such
        shape."""

    @abstractmethod
    def denoise(self, noisy: Tensor, sigma: float) -> Tensor:
        """E[clean | noisy = clean + sigma * noise]; noisy (B, C, H, W) normalised, sigma > 0; the same shape."""

    def estimate(self, noisy: Tensor, sigma: float) -> Estimate:
        """`denoise`, with what else the same call of the network tells."""
        return Estimate(self.denoise(noisy, sigma))

    def sized(self, physical_shape: tuple[int, ...]) -> Prior:
        """This prior, for quantities of shape (C, H, W) alone, where what it says of its uncertainty depends on that.
        Default: itself."""
        return self

    def uncertainty(self, sigma: float) -> float:
        """Standard deviation of what is still unknown of an entry at noise level sigma, in normalised units.

        Without better knowledge: that of a Gaussian of standard deviation .5, sigma * .5 / sqrt(sigma^2 + .25).
        """
        return sigma * 0.5 / math.hypot(sigma, 0.5)

    def spread(self, noisy: Tensor, sigma: float) -> Spread | None:
        """How what is still unknown of an entry hangs together with what is of its neighbours, in normalised units,
        after the same look at `noisy` as `denoise` took. Default: None, it does not say."""
        return None

    def prior_spread(self, noisy: Tensor, sigma: float) -> Spread | None:
        """The covariance of the variable itself, for a prior that is Gaussian about zero (whose chart has no offset),
        at least once `noisy` has told which Gaussian: with it an operator may solve for the variable outright.
        Default: None, it is not."""
        return None


@dataclass(frozen=True)
class ParameterSpec:
    """One parameter of an operator: its shape (C, H, W) without the batch, what it means, its unit, the names of its
    usual prior and of the generator that usually draws it in simulations.

    copies: the channels are so many independent parameters of C / copies channels, one after the other, and the prior
    sees each alone.
    """

    shape: tuple[int, ...]
    meaning: str
    unit: str = ""
    prior: str = ""
    copies: int = 1
    generator: str = ""


@dataclass(frozen=True)
class Spread:
    """A matrix L an image whose L L' is a covariance, as two functions on tensors (B, C, H, W): v -> L v makes of
    independent standard normal numbers a deviation that is as likely as any, and u -> L' u."""

    forward: Callable[[Tensor], Tensor]
    transposed: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Gaussian:
    """A belief about a tensor (B, ...): mean, and variance of an entry, (B, 1, 1, 1) or any shape that broadcasts.

    level: standard deviation, in the same units, of the noise through which a denoiser saw the tensor; an operator that
    knows how its unknowns are correlated can tell from it what the denoiser could not see. Infinite: it saw nothing.
    spread: the whole covariance, where the prior tells it; None: entries are independent, as far as anyone knows.
    prior: the covariance of the tensor itself, without any look, of a prior that is Gaussian about zero.
    """

    mean: Tensor
    variance: Tensor
    level: float = math.inf
    spread: Spread | None = None
    prior: Spread | None = None


@dataclass(frozen=True)
class Halved:
    """An operator as it is for pictures of half the sides (`ipt.core.pyramid`), and the way back.

    operator: of such a picture it measures about the measurement of half the sides. doubled: from its valid parameters
    to the whole operator's, as the charts give them, before `constrain`.
    """

    operator: ParametricOperator
    doubled: Callable[[Unknowns], Unknowns]


class ParametricOperator(ABC):
    """A forward model y = A_phi(x) whose parameters phi may be unknown.

    Images are (B, C, H, W) in 0..1, parameters (B, *spec.shape) in their physical units.
    """

    @abstractmethod
    def parameters(self, image_shape: tuple[int, ...]) -> dict[str, ParameterSpec]:
        """The parameters for images (C, H, W), by name; ValueError if no such image can be measured."""

    @abstractmethod
    def forward(self, image: Tensor, **parameters: Tensor) -> Tensor:
        """The measurement without noise; differentiable in the image and in every parameter."""

    @property
    def linear(self) -> bool:
        """Whether it promises (`ipt.testing` looks) that `forward` is linear in the image, whatever the parameters.
        Default: no such promise; a subclass may write `linear = True`."""
        return False

    @property
    def takes_frames(self) -> bool:
        """Whether `image_step` takes several measurements of each image: a measurement, noise variance, parameters and
        beliefs of F times the image's batch, the F frames of an image one after the other; and `parameter_step`
        likewise. Default: no."""
        return False

    def constrain(self, parameters: Mapping[str, Tensor]) -> Unknowns:
        """The nearest valid parameters (a kernel onto those that sum to 1); differentiable, idempotent. Default: as
        given."""
        return dict(parameters)

    def canonical(self, image: Tensor, parameters: Mapping[str, Tensor]) -> tuple[Tensor, Unknowns]:
        """Of the solutions that explain a measurement alike, the one to report: what the data cannot tell is as the
        operator's convention has it (a kernel centred, and the picture moved accordingly). image and parameters:
        physical and valid, as what is returned; asked only where all parameters were unknown. Default: as found."""
        return image, dict(parameters)

    def image_shape(self, measurement_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape (C, H, W) of the image behind a measurement (C, H, W). Default: the same."""
        return measurement_shape

    def halved(self, image_shape: tuple[int, ...]) -> Halved | None:
        """This operator for pictures of half the height and width of (C, H, W), where its parameters are more easily
        found: a solve begins there, and goes on here with what it found. None (the default): it has no such, or there
        is nothing to gain."""
        return None

    def image_step(
        self,
        measurement: Tensor,
        noise_variance: Tensor,
        image: Gaussian,
        parameters: Mapping[str, Tensor],
        beliefs: Mapping[str, Gaussian],
    ) -> Tensor | None:
        """The image that best weighs the measurement against the belief about it, given valid parameters: the minimiser
        of ||y - A(x)||^2 / noise_variance + ||x - mean||^2 / variance, where the operator knows a closed form or a fast
        solver; None (the default) leaves it to the rule. beliefs: about the unknown parameters, as `parameter_step` had
        them, for an operator that counts what is uncertain in them as noise."""
        return None

    def parameter_step(
        self,
        measurement: Tensor,
        noise_variance: Tensor,
        image: Gaussian,
        parameters: Mapping[str, Gaussian],
        known: Mapping[str, Tensor] | None = None,
    ) -> Unknowns | None:
        """The unknown parameters that best explain the measurement given beliefs about the image and about them, where
        the operator knows how; None (the default) leaves it to the rule. Means are as the charts give them, before
        `constrain`, and so is what is returned. known: the other parameters, which are given."""
        return None


@dataclass(frozen=True)
class Step:
    """One step of the loop as a rule sees it.

    noisy, clean: every unknown's normalised variable and its prior's estimate. With a rule that needs gradients,
    `noisy` are leaves of the graph of `clean`. sigma > sigma_next >= 0. index counts from 0 to total - 1. levels: each
    unknown's own noise level, sigma times the rule's `noise_ratio`; uncertainty: what its prior leaves uncertain there.
    """

    noisy: Unknowns
    clean: Unknowns
    sigma: float
    sigma_next: float
    index: int
    total: int
    levels: Mapping[str, float] = field(default_factory=dict)
    uncertainty: Mapping[str, float] = field(default_factory=dict)
    spreads: Mapping[str, Spread] = field(default_factory=dict)
    prior_spreads: Mapping[str, Spread] = field(default_factory=dict)


@dataclass(frozen=True)
class Correction:
    """A rule's answer: corrected clean estimates, and shifts to add after the transition; by name, only what
    changes."""

    clean: Unknowns = field(default_factory=dict)
    shift: Unknowns = field(default_factory=dict)


class GuidanceRule(ABC):
    """How the measurement corrects the unknowns at one step."""

    @property
    @abstractmethod
    def needs_gradients(self) -> bool:
        """Whether `correct` differentiates through the priors."""

    @abstractmethod
    def correct(self, step: Step, problem: Problem) -> Correction:
        """The correction for this step. Every norm is per image."""

    def noise_ratio(self, name: str) -> float:
        """The noise level of unknown `name` is the schedule's times this, throughout. Default: 1, one level for all."""
        return 1.0

    def restart(self, doubling: int) -> float | None:
        """Coarse to fine: the noise level of the schedule at which a solve goes on once the picture has been doubled
        for the first, second ... time (doubling 1, 2, ...). None (the default): pictures are solved at their own size
        alone."""
        return None

    @abstractmethod
    def schedule(self, steps: int | None = None) -> Schedule:
        """The noise levels this rule works best with, in `steps` steps (None: its usual number)."""

    @abstractmethod
    def transition(self) -> Transition:
        """The transition this rule works best with."""


class Transition(ABC):
    """From one noise level to the next."""

    @abstractmethod
    def __call__(self, noisy: Tensor, estimate: Estimate, sigma: float, sigma_next: float, noise: Tensor) -> Tensor:
        """The variable at sigma_next given the (corrected) estimate; `noise` is standard normal; at sigma_next = 0, no
        noise."""


class Generator(ABC):
    """Draws a parameter at random: for simulation, for training a prior, and as an empirical prior."""

    @abstractmethod
    def sample(self, seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
        """One draw a seed, (len(seeds), *shape) in physical units; a draw depends on its own seed alone."""
