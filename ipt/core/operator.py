"""Forward models, their parameters, and generators of parameters.

An unknown is a tensor with a name: "image", or that of an operator's parameter. Unknowns are passed in dictionaries by
name, batch first. Everything is per image: an image alone and in a batch gives the same answer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

    from ipt.core.prior import Prior

Unknowns: TypeAlias = "dict[str, Tensor]"
Known: TypeAlias = "Mapping[str, Tensor] | None"
IMAGE = "image"


@dataclass(frozen=True)
class ParameterSpec:
    """One parameter of an operator."""

    shape: tuple[int, ...]  # (C, H, W), without the batch
    meaning: str  # what it is, in a few words
    unit: str = ""
    prior: str | Prior = ""  # its usual prior, or the name of one; "": by `normal`, or else by `range`
    copies: int = 1  # number of independent parameters of C / copies channels each; the prior sees each alone
    shared: bool = False  # whether all frames of a series have the same; otherwise each has its own
    generator: str = ""  # name of its usual generator in simulations; "": by `normal` and `range`
    noise_ratio: float = 0.125  # noise level at which it is best estimated, as a share of the image's
    range: tuple[float, float] | None = None  # its lowest and highest value, in `unit`
    normal: tuple[float, float] | None = None  # its usual mean and standard deviation, in `unit`
    discrete: bool = False  # whether its values are discrete: then the operator needs a parameter step of its own


class ParametricOperator(ABC):
    """A forward model y = A_phi(x) whose parameters phi may be unknown.

    Images are (B, C, H, W) in 0..1, parameters (B, *spec.shape) in physical units. Abilities that only some operators
    have are classes of their own, in `ipt.core.abilities`.
    """

    @abstractmethod
    def parameters(self, image_shape: tuple[int, ...]) -> dict[str, ParameterSpec]:
        """The parameters for images (C, H, W), by name; ValueError where such an image cannot be measured."""

    @abstractmethod
    def forward(self, image: Tensor, **parameters: Tensor) -> Tensor:
        """The measurement without noise, (B, C, H, W); differentiable in the image and in every parameter."""

    def constrain(self, parameters: Mapping[str, Tensor]) -> Unknowns:
        """The nearest valid parameters; differentiable, idempotent. Default: as given."""
        return dict(parameters)

    def image_shape(self, measurement_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape (C, H, W) of the image behind a measurement (C, H, W). Default: the same."""
        return measurement_shape


def constrained(
    operator: ParametricOperator, specs: Mapping[str, ParameterSpec], parameters: Mapping[str, Tensor]
) -> Unknowns:
    """Valid parameters: constrained by the operator, and clipped to their ranges."""
    bounds = {name: spec.range for name, spec in specs.items() if spec.range is not None}
    valid = operator.constrain(parameters)
    return {name: value.clamp(*bounds[name]) if name in bounds else value for name, value in valid.items()}


class Generator(ABC):
    """Random draws of a parameter: for simulation, for training a prior, and as an empirical prior."""

    @abstractmethod
    def sample(self, seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
        """One draw (C, H, W) for each seed, which depends on that seed alone: (len(seeds), *shape), physical units."""
