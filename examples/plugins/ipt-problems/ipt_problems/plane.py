"""Defocus that varies over the picture as over a tilted plane: the radius of the disc is linear in the place.

The picture is blurred by discs of a few radii, and each pixel is a mean of the two that are nearest to its own.
"""

import torch
from torch import Tensor

import ipt
from ipt.operators.blur import Blur

LOW, HIGH, COUNT = 0.5, 4.5, 9
SIDE = 11
"""Pixels; the widest disc fits in."""


class TiltedDefocus(ipt.ParametricOperator, ipt.Linear):
    """border: what lies outside the frame, as in `blur`."""

    def __init__(self, border: str = "reflect"):
        self.blur = Blur(SIDE, border)

    def parameters(self, image_shape: tuple[int, ...]) -> dict[str, ipt.ParameterSpec]:
        meaning = "from the middle to the lower and to the right edge"
        return {
            "radius": ipt.ParameterSpec(
                (1, 1, 1), "in the middle", "px", range=(0.5, 4.5), generator="uniform:low=1.5,high=3"
            ),
            "slope": ipt.ParameterSpec((2, 1, 1), meaning, "px", range=(-2, 2), generator="uniform:low=-1.2,high=1.2"),
        }

    def forward(self, image: Tensor, radius: Tensor, slope: Tensor) -> Tensor:  # type: ignore[override]
        down, across = (torch.linspace(-1, 1, side).to(image) for side in image.shape[-2:])
        place = radius + slope[:, :1] * down[:, None] + slope[:, 1:] * across
        # In steps between the radii, and smoothly to either side of each.
        step = (place.clamp(LOW, HIGH) - LOW) / (HIGH - LOW) * (COUNT - 1)
        total = torch.zeros_like(image)
        for number in range(COUNT):
            weight = (1 - (step - number).abs()).clamp(min=0)
            total = total + weight * self.blur.forward(image, disc(LOW + (HIGH - LOW) * number / (COUNT - 1), image))
        return total


def disc(radius: float, like: Tensor) -> Tensor:
    """(B, 1, SIDE, SIDE), its edge smoothed over one pixel."""
    away = torch.arange(SIDE).to(like) - SIDE // 2
    light = (radius + 0.5 - torch.hypot(away[:, None], away)).clamp(0, 1)
    return (light / light.sum()).expand(len(like), 1, -1, -1)
