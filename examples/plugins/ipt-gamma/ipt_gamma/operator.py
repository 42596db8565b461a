"""A camera's response: y = gain (t x)^exponent, seen at two exposures t, one above the other in the measurement.

One exposure tells next to nothing of the exponent: a face with more contrast is a face. The ratio of two tells it
(Mann, Picard, "On being 'undigital' with digital cameras", 1995); the gain is left to the image's prior.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

import ipt
from ipt.priors.analytic import BoxPrior

EXPONENT, GAIN = (0.4, 2.5), (0.4, 1.2)
DARKEST = 1e-3
"""Of the light that is told from none: a power below 1 has no derivative at zero."""


class Gamma(ipt.ParametricOperator):
    """darker: how many times less light the second exposure, the lower half of the measurement, has."""

    def __init__(self, darker: float = 4.0):
        self.darker = darker

    def image_shape(self, measurement_shape: tuple[int, ...]) -> tuple[int, ...]:
        channels, height, width = measurement_shape
        return channels, height // 2, width

    def parameters(self, image_shape: tuple[int, ...]) -> dict[str, ipt.ParameterSpec]:
        names = {"exponent": "gamma-exponent", "gain": "gamma-gain"}
        return {
            name: ipt.ParameterSpec((1, 1, 1), "of the response", prior=usual, generator=usual)
            for name, usual in names.items()
        }

    def forward(self, image: Tensor, exponent: Tensor, gain: Tensor) -> Tensor:  # type: ignore[override]
        light = torch.cat([image, image / self.darker], dim=-2)
        return gain * light.clamp(min=DARKEST) ** exponent

    def constrain(self, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"exponent": parameters["exponent"].clamp(*EXPONENT), "gain": parameters["gain"].clamp(*GAIN)}


def any_exponent() -> ipt.Prior:
    return BoxPrior(*EXPONENT)


def any_gain() -> ipt.Prior:
    return BoxPrior(*GAIN)


class Between(ipt.Generator):
    def __init__(self, low: float, high: float):
        self.low, self.high = low, high

    def sample(self, seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
        draws = [torch.rand(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return self.low * (self.high / self.low) ** torch.stack(draws)


def exponents() -> ipt.Generator:
    return Between(0.5, 2.0)


def gains() -> ipt.Generator:
    return Between(0.5, 1.0)
