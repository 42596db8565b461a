"""Several exposures of one scene: one image, and for every frame parameters of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

from torch import Tensor

from ipt.core.abilities import (
    Belief,
    Coarsenable,
    Coarser,
    ExactSteps,
    Framed,
    Linear,
    MultiFrame,
    Resizable,
    Wrapper,
    ability,
)
from ipt.core.errors import IptError
from ipt.core.observation import Observation
from ipt.core.operator import ParameterSpec, ParametricOperator, Unknowns
from ipt.linalg.covariances import Covariance, Isotropic, rearranged


@dataclass(frozen=True)
class Frames(ParametricOperator, Linear, ExactSteps, Framed, Resizable, Coarsenable, Wrapper):
    """`count` measurements of one image by an operator, as one measurement: (count * C, H, W), frame after frame.

    Parameters are stacked the same way, (count * c, h, w); their priors see each frame's alone (ParameterSpec.copies).
    """

    operator: ParametricOperator
    count: int

    def __post_init__(self) -> None:
        if not isinstance(self.count, int) or self.count < 1:
            raise IptError(f"the number of frames is a whole number from 1 up, not {self.count!r}")

    def allows(self, kind: type) -> bool:
        return ability(self.operator, kind) is not None

    def image_shape(self, measurement_shape: tuple[int, ...]) -> tuple[int, ...]:
        channels, *sides = measurement_shape
        if channels % self.count:
            raise IptError(f"{channels} channels are not {self.count} frames: give every frame the same channels")
        return self.operator.image_shape((channels // self.count, *sides))

    def frame(self, image_shape: tuple[int, ...]) -> tuple[slice, slice]:
        return cast(Framed, self.operator).frame(image_shape)

    def resized(self, known: Mapping[str, Tensor]) -> Frames:
        return replace(self, operator=cast(Resizable, self.operator).resized(self._apart(known)))

    def rescaled(self, known: Mapping[str, Tensor], scale: float) -> Unknowns:
        found = cast(Resizable, self.operator).rescaled(self._apart(known), scale)
        return {name: self._together(value) for name, value in found.items()}

    def parameters(self, image_shape: tuple[int, ...]) -> dict[str, ParameterSpec]:
        return {
            name: replace(spec, shape=(self.count * spec.shape[0], *spec.shape[1:]), copies=self.count * spec.copies)
            for name, spec in self.operator.parameters(image_shape).items()
        }

    def forward(self, image: Tensor, **parameters: Tensor) -> Tensor:
        return self._together(self.operator.forward(self._each(image), **self._apart(parameters)))

    def constrain(self, parameters: Mapping[str, Tensor]) -> Unknowns:
        valid = self.operator.constrain(self._apart(parameters))
        return {name: self._together(value) for name, value in valid.items()}

    def coarser(self, image_shape: tuple[int, ...]) -> Coarser | None:
        """As many frames of what the operator is in a picture of half the sides."""
        able = ability(self.operator, Coarsenable)
        coarser = None if able is None else able.coarser(image_shape)
        if coarser is None:
            return None

        def enlarged(parameters: Unknowns) -> Unknowns:
            return {name: self._together(value) for name, value in coarser.enlarged(self._apart(parameters)).items()}

        return Coarser(replace(self, operator=coarser.operator), enlarged)

    def parameter_step(
        self, observation: Observation, image: Belief, parameters: Mapping[str, Belief], known: Mapping[str, Tensor]
    ) -> Unknowns | None:
        """The operator's own: all frames at once where it takes frames, else each with the image to itself."""
        exact = ability(self.operator, ExactSteps)
        if exact is None:
            return None
        if not isinstance(exact, MultiFrame):
            covariance = Isotropic(self._each(image.covariance.variance))
            image = replace(image, mean=self._each(image.mean), covariance=covariance)
        beliefs = {name: self._belief(belief) for name, belief in parameters.items()}
        found = exact.parameter_step(self._observation(observation), image, beliefs, self._apart(known))
        return None if found is None else {name: self._together(value) for name, value in found.items()}

    def image_step(
        self, observation: Observation, image: Belief, parameters: Mapping[str, Tensor], beliefs: Mapping[str, Belief]
    ) -> Tensor | None:
        """The operator's own, where it can tell an image from several measurements."""
        exact = ability(self.operator, ExactSteps)
        if exact is None or (self.count > 1 and not isinstance(exact, MultiFrame)):
            return None
        seen = {name: self._belief(belief) for name, belief in beliefs.items()}
        return exact.image_step(self._observation(observation), image, self._apart(parameters), seen)

    def _observation(self, observation: Observation) -> Observation:
        mask = observation.mask
        if mask is not None:
            mask = self._each(mask) if mask.shape[1] == 1 else self._frames(mask)
        return Observation(self._frames(observation.measurement), self._each(observation.noise), mask)

    def _each(self, tensor: Tensor) -> Tensor:
        """What is the same for all frames, once for each."""
        return tensor.repeat_interleave(self.count, 0)

    def _frames(self, stacked: Tensor) -> Tensor:
        """(B, count * C, ...) -> (B * count, C, ...)."""
        batch, channels, *sides = stacked.shape
        return stacked.reshape(batch * self.count, channels // self.count, *sides)

    def _together(self, frames: Tensor) -> Tensor:
        """(B * count, C, ...) -> (B, count * C, ...)."""
        batch, channels, *sides = frames.shape
        return frames.reshape(batch // self.count, channels * self.count, *sides)

    def _apart(self, stacked: Mapping[str, Tensor]) -> Unknowns:
        return {name: self._frames(value) for name, value in stacked.items()}

    def _belief(self, belief: Belief) -> Belief:
        prior = belief.prior_covariance
        return replace(
            belief,
            mean=self._frames(belief.mean),
            covariance=self._covariance(belief.covariance),
            prior_covariance=None if prior is None else self._covariance(prior),
        )

    def _covariance(self, whole: Covariance) -> Covariance:
        variance = whole.variance
        each = self._each(variance) if variance.shape[1] % self.count else self._frames(variance)
        return rearranged(whole, self._together, self._frames, each)
