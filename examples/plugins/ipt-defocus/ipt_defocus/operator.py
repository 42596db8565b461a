"""Defocus: blur by a disc whose edge is smoothed over one pixel, so that its radius has a derivative."""

import torch
from torch import Tensor

import ipt
from ipt.operators.blur import Blur

LOW, HIGH = 0.5, 6.0
SIDE = 15
"""Pixels; the widest disc fits in."""


class Defocus(ipt.ParametricOperator, ipt.Linear):
    """border: what lies outside the frame, as in `blur`."""

    def __init__(self, border: str = "reflect"):
        self.blur = Blur(SIDE, border)

    def parameters(self, image_shape: tuple[int, ...]) -> dict[str, ipt.ParameterSpec]:
        draws = "uniform:low=1,high=5"
        return {"radius": ipt.ParameterSpec((1, 1, 1), "of the disc", "px", range=(LOW, HIGH), generator=draws)}

    def disc(self, radius: Tensor) -> Tensor:
        away = torch.arange(SIDE).to(radius) - SIDE // 2
        light = (radius + 0.5 - torch.hypot(away[:, None], away)).clamp(0, 1)
        return light / light.sum((-2, -1), keepdim=True)

    def forward(self, image: Tensor, radius: Tensor) -> Tensor:  # type: ignore[override]
        return self.blur.forward(image, self.disc(radius))
