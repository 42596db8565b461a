"""Several frames through one lens: its radial distortion is the same in all of them, and each has moved and turned.

A point at r from the middle is seen at r (1 + k r^2), r as a share of half the diagonal (Brown, "Decentering Distortion
of Lenses", 1966); the shift of all frames together is a shift of the picture, and is left to it.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

import ipt


class Rig(ipt.ParametricOperator, ipt.Linear):
    def parameters(self, image_shape: tuple[int, ...]) -> dict[str, ipt.ParameterSpec]:
        return {
            "distortion": ipt.ParameterSpec((1, 1, 1), "k, of the lens", range=(-0.25, 0.25), shared=True),
            "shift": ipt.ParameterSpec((2, 1, 1), "down and to the right", "px", normal=(0, 1.5), noise_ratio=0.3),
            "angle": ipt.ParameterSpec((1, 1, 1), "clockwise", "degrees", normal=(0, 1.5), noise_ratio=0.3),
        }

    def forward(self, image: Tensor, distortion: Tensor, shift: Tensor, angle: Tensor) -> Tensor:  # type: ignore[override]
        height, width = image.shape[-2:]
        down, across = ((torch.arange(side).to(image) - (side - 1) / 2) for side in (height, width))
        y, x = (each.expand(height, width)[None, None] for each in (down[:, None], across))
        stretch = 1 + distortion * (y.square() + x.square()) / (math.hypot(height, width) / 2) ** 2
        turn = torch.deg2rad(angle)
        seen_y = stretch * (y * turn.cos() + x * turn.sin()) - shift[:, :1]
        seen_x = stretch * (x * turn.cos() - y * turn.sin()) - shift[:, 1:]
        grid = torch.cat([2 * seen_x / (width - 1), 2 * seen_y / (height - 1)], 1).movedim(1, -1)
        return F.grid_sample(image, grid, "bilinear", "reflection", align_corners=True)
