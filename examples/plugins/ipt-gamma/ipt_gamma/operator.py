"""A camera's response: y = gain (t x)^exponent, seen at two exposures t, one above the other in the measurement.

One exposure tells next to nothing of the exponent: a face with more contrast is a face. The ratio of two tells it
(Mann, Picard, "On being 'undigital' with digital cameras", 1995); the gain is left to the image's prior.
"""

import torch
from torch import Tensor

import ipt

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
        one, meaning = (1, 1, 1), "of the response"
        return {
            "exponent": ipt.ParameterSpec(one, meaning, range=EXPONENT, generator="uniform:low=.5,high=2"),
            "gain": ipt.ParameterSpec(one, meaning, range=GAIN, generator="uniform:low=.5,high=1"),
        }

    def forward(self, image: Tensor, exponent: Tensor, gain: Tensor) -> Tensor:  # type: ignore[override]
        light = torch.cat([image, image / self.darker], dim=-2)
        return gain * light.clamp(min=DARKEST) ** exponent
