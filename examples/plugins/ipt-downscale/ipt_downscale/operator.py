"""Blind super-resolution: y = every f-th pixel of k * x, the anti-alias filter k a Gaussian of unknown widths."""

import torch
from torch import Tensor

import ipt
from ipt.operators.blur import Blur

LOW, HIGH = 0.3, 3.0
SIDE = 15
"""Pixels of the filter's window."""


class BlindDownscale(ipt.ParametricOperator, ipt.Linear):
    """factor: whole; the picture has so many times the measurement's height and width. border: as in `blur`."""

    def __init__(self, factor: int = 2, border: str = "reflect"):
        self.factor, self.blur = factor, Blur(SIDE, border)

    def image_shape(self, measurement_shape: tuple[int, ...]) -> tuple[int, ...]:
        channels, height, width = measurement_shape
        return channels, height * self.factor, width * self.factor

    def parameters(self, image_shape: tuple[int, ...]) -> dict[str, ipt.ParameterSpec]:
        meaning = "standard deviation of the filter, down and across"
        draws = "uniform:low=.6,high=2"
        return {"width": ipt.ParameterSpec((2, 1, 1), meaning, "px", range=(LOW, HIGH), generator=draws)}

    def filter(self, width: Tensor) -> Tensor:
        away = torch.arange(SIDE).to(width) - SIDE // 2
        exponent = (away[:, None] / width[:, :1]).square() + (away / width[:, 1:]).square()
        kernel = (-0.5 * exponent).exp()
        return kernel / kernel.sum((-2, -1), keepdim=True)

    def forward(self, image: Tensor, width: Tensor) -> Tensor:  # type: ignore[override]
        return self.blur.forward(image, self.filter(width))[..., :: self.factor, :: self.factor]
