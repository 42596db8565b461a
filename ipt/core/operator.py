"""Forward models, their parameters, and generators of these.

An unknown is a tensor with a name: "image", and the operator's parameters. Unknowns travel together in a dictionary and
are always found by name. Batch first; everything is per image: an image alone and in a batch gives the same answer.
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
    prior: str | Prior = ""  # its usual prior, or the name of one; "": what `normal` says of it, or else `range`
    copies: int = 1  # so many independent parameters of C / copies channels in a row, and the prior sees each alone
    shared: bool = False  # one for all frames of a series, which have one each otherwise
    generator: str = ""  # name of what usually draws it in simulations; "": what `normal` and `range` say
    noise_ratio: float = 0.125  # noise level at which it is best estimated, as a share of the image's
    range: tuple[float, float] | None = None  # its lowest and highest value, in `unit`
    normal: tuple[float, float] | None = None  # its usual mean and standard deviation, in `unit`
    discrete: bool = False  # whether it goes in steps: nothing is differentiated in it, the operator has its own step


class ParametricOperator(ABC):
    """A forward model y = A_phi(x) whose parameters phi may be unknown.

    Images are (B, C, H, W) in 0..1, parameters (B, *spec.shape) in their physical units. What only some operators can
    do are classes of their own: `ipt.core.abilities`.
    """

    @abstractmethod
    def parameters(self, image_shape: tuple[int, ...]) -> dict[str, ParameterSpec]:
        """The parameters for images (C, H, W), by name; ValueError: no such image can be measured."""

    @abstractmethod
    def forward(self, image: Tensor, **parameters: Tensor) -> Tensor:
        """The measurement without noise; differentiable in the image and in every parameter."""

    def constrain(self, parameters: Mapping[str, Tensor]) -> Unknowns:
        """The nearest valid parameters; differentiable, idempotent. Default: as given."""
        return dict(parameters)

    def image_shape(self, measurement_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape (C, H, W) of the image behind a measurement (C, H, W). Default: the same."""
        return measurement_shape


def constrained(
    operator: ParametricOperator, specs: Mapping[str, ParameterSpec], parameters: Mapping[str, Tensor]
) -> Unknowns:
    """Valid parameters: what `constrain` makes of them, within their ranges."""
    bounds = {name: spec.range for name, spec in specs.items() if spec.range is not None}
    valid = operator.constrain(parameters)
    return {name: value.clamp(*bounds[name]) if name in bounds else value for name, value in valid.items()}


class Generator(ABC):
    """Draws a parameter at random: for simulation, for training a prior, and as an empirical prior."""

    @abstractmethod
    def sample(self, seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
        """(len(seeds), *shape) in physical units; a draw (C, H, W) depends on its own seed alone."""
