"""Fog: y = t x + (1 - t) a, a transmission t for each pixel and the colour a of the light that the fog scatters.

How smooth the transmission is, the prior `smooth` finds by itself (Koschmieder, 1924; He, Sun, Tang, "Single Image Haze
Removal Using Dark Channel Prior", CVPR 2009).
"""

from torch import Tensor

import ipt


class Fog(ipt.ParametricOperator):
    def parameters(self, image_shape: tuple[int, ...]) -> dict[str, ipt.ParameterSpec]:
        return {
            "transmission": ipt.ParameterSpec(
                (1, *image_shape[1:]),
                "share of light that comes through",
                range=(0.05, 1),
                prior="smooth:low=.05,high=1",
                generator="smooth:low=.15,high=.95,length=[12,32],std=.35",
                noise_ratio=1.0,
            ),
            "airlight": ipt.ParameterSpec(
                (image_shape[0], 1, 1), "colour of the fog", range=(0.5, 1), generator="uniform:low=.85,high=.95"
            ),
        }

    def forward(self, image: Tensor, transmission: Tensor, airlight: Tensor) -> Tensor:  # type: ignore[override]
        return transmission * image + (1 - transmission) * airlight
