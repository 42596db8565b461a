"""A colour filter array: each pixel sees one colour, through a filter of unknown strength; which one, is unknown too.

The phase of the array goes in steps: nothing is differentiated in it, and `parameter_step` tries all four. Filters of
red and blue are told relative to green, whose strength is that of the picture.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

import ipt
from ipt.core.abilities import Belief
from ipt.core.observation import Observation

LOW, HIGH = 0.3, 1.2
COLOURS = ((0, 1), (1, 2))
"""Red, green, green and blue of two rows, in phase 0; the phase's bits move the array down and to the right."""


class Bayer(ipt.ParametricOperator, ipt.Linear, ipt.ExactSteps):
    def image_shape(self, measurement_shape: tuple[int, ...]) -> tuple[int, ...]:
        return 3, *measurement_shape[1:]

    def parameters(self, image_shape: tuple[int, ...]) -> dict[str, ipt.ParameterSpec]:
        return {
            "gains": ipt.ParameterSpec(
                (2, 1, 1), "of red and blue", range=(LOW, HIGH), generator="uniform:low=.5,high=.9"
            ),
            "phase": ipt.ParameterSpec((1, 1, 1), "of the array, 0 to 3", range=(0, 3), discrete=True),
        }

    def constrain(self, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {**parameters, "phase": parameters["phase"].clamp(0, 3).round()}

    def forward(self, image: Tensor, gains: Tensor, phase: Tensor) -> Tensor:  # type: ignore[override]
        strengths = torch.stack([gains[:, 0], torch.ones_like(gains[:, 0]), gains[:, 1]], 1)
        return (filters(phase, image) * strengths * image).sum(1, keepdim=True)

    def image_step(
        self, observation: Observation, image: Belief, parameters: Mapping[str, Tensor], beliefs: Mapping[str, Belief]
    ) -> None:
        """The rule's own."""

    def parameter_step(
        self, observation: Observation, image: Belief, parameters: Mapping[str, Belief], known: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Of each phase the gains by least squares; then the phase that leaves least."""
        batch, errors, found = len(observation), [], []
        tried = [known["phase"]] if "phase" in known else [image.mean.new_full((batch, 1, 1, 1), n) for n in range(4)]
        for phase in tried:
            gains = known["gains"] if "gains" in known else self._gains(observation, image, parameters["gains"], phase)
            rest = observation.residual(self.forward(image.mean, gains.clamp(LOW, HIGH), phase))
            errors.append(observation.rms(rest))
            found.append({"gains": gains, "phase": phase})
        best = torch.stack(errors).argmin(0)
        return {
            name: torch.stack([found[int(number)][name][index] for index, number in enumerate(best)])
            for name in parameters
        }

    def _gains(self, observation: Observation, image: Belief, belief: Belief, phase: Tensor) -> Tensor:
        seen = filters(phase, image.mean)[:, ::2] * image.mean[:, ::2]
        # What is uncertain in the image counts as noise.
        variance = observation.noise_variance + image.covariance.variance.mean((1, 2, 3), keepdim=True)
        weight = 1 if observation.mask is None else observation.mask.square()
        precision = (weight * seen.square()).sum((2, 3), keepdim=True) / variance
        pull = 1 / belief.covariance.variance
        return ((weight * seen * observation.measurement).sum((2, 3), keepdim=True) / variance + pull * belief.mean) / (
            precision + pull
        )


def filters(phase: Tensor, image: Tensor) -> Tensor:
    """Which colour each pixel sees, (B, 3, H, W) of 0 and 1."""
    rows, columns = (torch.arange(side, device=image.device) for side in image.shape[-2:])
    moved = phase.long()
    down, across = (rows[:, None] + moved // 2) % 2, (columns + moved % 2) % 2
    colour = torch.tensor(COLOURS, device=image.device)[down, across]
    return torch.cat([colour == number for number in range(3)], 1).to(image)
