"""Several exposures of one scene: one image, and for every frame parameters of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from ipt.core.errors import IptError
from ipt.core.interfaces import Gaussian, Halved, ParameterSpec, ParametricOperator, Spread, Unknowns


@dataclass(frozen=True)
class Frames(ParametricOperator):
    """`count` measurements of one image by an operator, as one measurement: (count * C, H, W), frame after frame.

    Parameters are stacked the same way, (count * c, h, w); their priors see each frame's alone (ParameterSpec.copies).
    """

    operator: ParametricOperator
    count: int

    def __post_init__(self) -> None:
        if not isinstance(self.count, int) or self.count < 1:
            raise IptError(f"the number of frames is a whole number from 1 up, not {self.count!r}")

    @property
    def linear(self) -> bool:
        return self.operator.linear

    def image_shape(self, measurement_shape: tuple[int, ...]) -> tuple[int, ...]:
        channels, *sides = measurement_shape
        if channels % self.count:
            raise IptError(f"{channels} channels are not {self.count} frames: give every frame the same channels")
        return self.operator.image_shape((channels // self.count, *sides))

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

    def halved(self, image_shape: tuple[int, ...]) -> Halved | None:
        """As many frames of what the operator is in a picture of half the sides."""
        half = self.operator.halved(image_shape)
        if half is None:
            return None

        def doubled(parameters: Unknowns) -> Unknowns:
            return {name: self._together(value) for name, value in half.doubled(self._apart(parameters)).items()}

        return Halved(replace(self, operator=half.operator), doubled)

    def parameter_step(
        self,
        measurement: Tensor,
        noise_variance: Tensor,
        image: Gaussian,
        parameters: Mapping[str, Gaussian],
        known: Mapping[str, Tensor] | None = None,
    ) -> Unknowns | None:
        """The operator's own: all frames at once where it takes frames, else each with the image to itself."""
        if not self.operator.takes_frames:
            image = replace(image, mean=self._each(image.mean), variance=self._each(image.variance), spread=None)
        found = self.operator.parameter_step(
            self._frames(measurement),
            self._each(noise_variance),
            image,
            {name: self._belief(belief) for name, belief in parameters.items()},
            self._apart(known or {}),
        )
        return None if found is None else {name: self._together(value) for name, value in found.items()}

    def image_step(
        self,
        measurement: Tensor,
        noise_variance: Tensor,
        image: Gaussian,
        parameters: Mapping[str, Tensor],
        beliefs: Mapping[str, Gaussian],
    ) -> Tensor | None:
        """The operator's own, where it can tell an image from several measurements."""
        if self.count > 1 and not self.operator.takes_frames:
            return None
        return self.operator.image_step(
            self._frames(measurement),
            self._each(noise_variance),
            image,
            self._apart(parameters),
            {name: self._belief(belief) for name, belief in beliefs.items()},
        )

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

    def _belief(self, belief: Gaussian) -> Gaussian:
        variance = belief.variance
        variance = self._frames(variance) if variance.shape[1] % self.count == 0 else self._each(variance)
        spread, prior = (self._spread(whole) for whole in (belief.spread, belief.prior))
        return replace(belief, mean=self._frames(belief.mean), variance=variance, spread=spread, prior=prior)

    def _spread(self, whole: Spread | None) -> Spread | None:
        if whole is None:
            return None
        return Spread(
            lambda v: self._frames(whole.forward(self._together(v))),
            lambda u: self._frames(whole.transposed(self._together(u))),
        )
