"""Several exposures of one scene as one measurement: one image, and parameters of each frame unless they are shared.

Tensors come in two layouts: stacked along the channels, (B, count * C, ...), as the solver has them, and by frame,
(B * count, C, ...), as the wrapped operator takes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

from torch import Tensor

from ipt.core.abilities import (
    Belief,
    Coarsenable,
    Coarser,
    ExactSteps,
    Framed,
    Linear,
    MeasurementSpec,
    MultiFrame,
    PhysicalUnits,
    Resizable,
    Wrapper,
    ability,
)
from ipt.core.errors import IptError
from ipt.core.observation import Observation
from ipt.core.operator import IMAGE, Known, ParameterSpec, ParametricOperator, Unknowns
from ipt.linalg.covariances import Covariance, Isotropic, rearranged
from ipt.operators.compose import nominal_parameters
from ipt.sampling.initial import Initializable
from ipt.sampling.regional import Regional


@dataclass(frozen=True)
class Frames(
    ParametricOperator,
    Linear,
    ExactSteps,
    Framed,
    Resizable,
    Coarsenable,
    Initializable,
    PhysicalUnits,
    Regional,
    Wrapper,
):
    """`count` measurements of one image by an operator, as one measurement (count * C, H, W), frame after frame.

    Parameters are stacked in the same way, (count * c, h, w), and their priors see each frame's alone
    (`ParameterSpec.copies`). A parameter that all frames share (`ParameterSpec.shared`) is (c, h, w).

    Attributes:
        operator: of a single frame.
        count: number of frames, from 1 up.
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
        return replace(self, operator=cast(Resizable, self.operator).resized(self._by_frame(known)))

    def rescaled(self, known: Mapping[str, Tensor], scale: float) -> Unknowns:
        return self._stacked(cast(Resizable, self.operator).rescaled(self._by_frame(known), scale))

    def parameters(self, image_shape: tuple[int, ...]) -> dict[str, ParameterSpec]:
        specs = dict(self.operator.parameters(image_shape))
        for name, spec in specs.items():
            if not spec.shared:
                channels, *sides = spec.shape
                specs[name] = replace(spec, shape=(self.count * channels, *sides), copies=self.count * spec.copies)
        return specs

    @cached_property
    def shared(self) -> frozenset[str]:
        """Names of the parameters that all frames share."""
        return frozenset(name for name, spec in nominal_parameters(self.operator).items() if spec.shared)

    def forward(self, image: Tensor, **parameters: Tensor) -> Tensor:
        return self._stack(self.operator.forward(self._repeat(image), **self._by_frame(parameters)))

    def constrain(self, parameters: Mapping[str, Tensor]) -> Unknowns:
        return self._stacked(self.operator.constrain(self._by_frame(parameters)))

    def coarser(self, image_shape: tuple[int, ...]) -> Coarser | None:
        """The same number of frames of the operator for half of the sides."""
        able = ability(self.operator, Coarsenable)
        coarser = None if able is None else able.coarser(image_shape)
        if coarser is None:
            return None

        def enlarged(parameters: Unknowns) -> Unknowns:
            return self._stacked(coarser.enlarged(self._by_frame(parameters)))

        return Coarser(replace(self, operator=coarser.operator), enlarged)

    def of_region(self) -> Frames:
        return replace(self, operator=cast(Regional, self.operator).of_region())

    def spread(self, parameters: Mapping[str, Tensor], measurement: tuple[int, ...]) -> Unknowns:
        own = (measurement[0] // self.count, *measurement[1:])
        return self._stacked(cast(Regional, self.operator).spread(self._by_frame(parameters), own))

    def initial(self, observation: Observation, known: Known = None, frames: int = 1) -> Unknowns | None:
        """The operator's estimate from all frames."""
        able = cast(Initializable, self.operator)
        found = able.initial(self._observation_by_frame(observation), self._by_frame(known or {}), frames * self.count)
        if found is None:
            return None
        return {IMAGE: found.pop(IMAGE), **self._stacked(found)}

    def reliability(self, observation: Observation, frames: int = 1) -> Tensor | None:
        """The operator's weights for all frames, (B, count * C, H, W)."""
        able = cast(Initializable, self.operator)
        found = able.reliability(self._observation_by_frame(observation), frames * self.count)
        channels = observation.measurement.shape[1] // self.count
        return None if found is None else self._stack(found.repeat(1, channels, 1, 1))

    def parameter_step(
        self, observation: Observation, image: Belief, parameters: Mapping[str, Belief], known: Mapping[str, Tensor]
    ) -> Unknowns | None:
        """The operator's step: for all frames at once where it is `MultiFrame`, else for each frame by itself."""
        exact = ability(self.operator, ExactSteps)
        if exact is None or (not isinstance(exact, MultiFrame) and self.shared & parameters.keys()):
            return None
        if not isinstance(exact, MultiFrame):
            covariance = Isotropic(self._repeat(image.covariance.variance))
            image = replace(image, mean=self._repeat(image.mean), covariance=covariance)
            known = self._by_frame(known)
        by_frame, beliefs = self._observation_by_frame(observation), self._beliefs(parameters)
        found = exact.parameter_step(by_frame, image, beliefs, self._unstacked(known))
        if found is None:
            return None
        return {name: value if name in self.shared else self._stack(value) for name, value in found.items()}

    def image_step(
        self, observation: Observation, image: Belief, parameters: Mapping[str, Tensor], beliefs: Mapping[str, Belief]
    ) -> Tensor | None:
        """The operator's step, where it is `MultiFrame` or there is a single frame."""
        exact = ability(self.operator, ExactSteps)
        if exact is None or (self.count > 1 and not isinstance(exact, MultiFrame)):
            return None
        by_frame = self._observation_by_frame(observation)
        return exact.image_step(by_frame, image, self._unstacked(parameters), self._beliefs(beliefs))

    def measured(self) -> MeasurementSpec:
        return cast(PhysicalUnits, self.operator).measured()

    def _observation_by_frame(self, observation: Observation) -> Observation:
        mask = observation.mask
        if mask is not None:
            mask = self._repeat(mask) if mask.shape[1] == 1 else self._unstack(mask)
        return Observation(self._unstack(observation.measurement), self._repeat(observation.noise), mask)

    def _repeat(self, tensor: Tensor) -> Tensor:
        """What all frames share, by frame: (B, C, ...) -> (B * count, C, ...)."""
        return tensor.repeat_interleave(self.count, 0)

    def _unstack(self, stacked: Tensor) -> Tensor:
        """(B, count * C, ...) -> (B * count, C, ...)."""
        batch, channels, *sides = stacked.shape
        return stacked.reshape(batch * self.count, channels // self.count, *sides)

    def _stack(self, frames: Tensor) -> Tensor:
        """(B * count, C, ...) -> (B, count * C, ...)."""
        batch, channels, *sides = frames.shape
        return frames.reshape(batch // self.count, channels * self.count, *sides)

    def _unstacked(self, parameters: Mapping[str, Tensor]) -> Unknowns:
        """Parameters by frame, but shared ones once for each image."""
        return {name: value if name in self.shared else self._unstack(value) for name, value in parameters.items()}

    def _by_frame(self, parameters: Mapping[str, Tensor]) -> Unknowns:
        """Parameters by frame, shared ones repeated."""
        return {name: self._repeat(v) if name in self.shared else self._unstack(v) for name, v in parameters.items()}

    def _stacked(self, parameters: Mapping[str, Tensor]) -> Unknowns:
        """The inverse of `_by_frame`."""
        return {
            name: value[:: self.count] if name in self.shared else self._stack(value)
            for name, value in parameters.items()
        }

    def _beliefs(self, beliefs: Mapping[str, Belief]) -> dict[str, Belief]:
        return {name: one if name in self.shared else self._belief(one) for name, one in beliefs.items()}

    def _belief(self, belief: Belief) -> Belief:
        prior = belief.prior_covariance
        return replace(
            belief,
            mean=self._unstack(belief.mean),
            covariance=self._covariance(belief.covariance),
            prior_covariance=None if prior is None else self._covariance(prior),
        )

    def _covariance(self, whole: Covariance) -> Covariance:
        variance = whole.variance
        each = self._repeat(variance) if variance.shape[1] % self.count else self._unstack(variance)
        return rearranged(whole, self._stack, self._unstack, each)
