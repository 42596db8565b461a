"""Blur by one kernel an image: y = k * x, a true convolution, with the border explicit.

    y[i] = sum_u k[u] x[i - (u - c)],   c = (H_k // 2, W_k // 2)

What lies outside the frame is part of the model. `circular`, `zero`, `reflect` and `replicate` say how the picture goes
on there; `unknown` says nothing: a user's photograph goes on behind its frame. (The forward model, which must assume
something, then blends the reflections at opposite edges; the exact steps trust only what the frame shows.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ipt.core.abilities import Belief, Canonicalizable, Coarsenable, Coarser, ExactSteps, Linear
from ipt.core.errors import IptError
from ipt.core.observation import Observation
from ipt.core.operator import ParameterSpec, ParametricOperator, Unknowns
from ipt.operators import blur_steps
from ipt.operators.canvas import Canvas
from ipt.operators.centring import doubled, moved, off_centre

_NARROWEST = 12
"""Pixels: a kernel whose window would become narrower gains nothing from a smaller picture (with 6 photographs of
128x128 pixels lost)."""
KERNEL_NOISE_RATIO = 0.3
"""Of kernels' `ParameterSpec`; chosen by the results of whole solves on 24 validation faces with motion blur."""
BORDERS = ("circular", "zero", "reflect", "replicate", "unknown")


@dataclass(frozen=True)
class Blur(ParametricOperator, Linear, ExactSteps, Coarsenable, Canonicalizable):
    """Convolution of every channel with one kernel (1, h, w) that is non-negative and sums to 1.

    kernel_size: side in pixels, or (height, width), odd or even; None: a quarter of the picture's smaller side rounded
        up to a multiple of 8, at most 64.
    border: circular, zero, reflect, replicate or unknown (see the module).
    """

    kernel_size: int | tuple[int, int] | None = None
    border: str = "unknown"

    def __post_init__(self) -> None:
        if self.border not in BORDERS:
            raise IptError(f"operator.border is one of {', '.join(BORDERS)}, not {self.border!r}")
        if self.kernel_size is not None:
            sides = self.kernel_size if isinstance(self.kernel_size, (tuple, list)) else (self.kernel_size,) * 2
            if len(sides) != 2 or not all(isinstance(side, int) and side >= 1 for side in sides):
                raise IptError(
                    f"operator.kernel_size is a side in pixels or (height, width), from 1 up, not {self.kernel_size!r}"
                )

    def parameters(self, image_shape: tuple[int, ...]) -> dict[str, ParameterSpec]:
        height, width = image_shape[-2:]
        sides = self._sides(height, width)
        if sides[0] > height or sides[1] > width:
            raise IptError(
                f"a kernel of {sides[0]}x{sides[1]} is larger than the picture of {height}x{width}; "
                f"give a smaller one with --set operator.kernel_size=N"
            )
        meaning = "point spread function, sums to 1"
        # 24 validation faces, two runs each: held to the centre, kernels gain .56 dB where the border is circular and
        # lose .28 dB where it is unknown.
        prior = "kernel" if self.border == "circular" else "kernel-uncentred"
        return {
            "kernel": ParameterSpec(
                (1, *sides), meaning, "share of light", prior, generator="motion", noise_ratio=KERNEL_NOISE_RATIO
            )
        }

    def _sides(self, height: int, width: int) -> tuple[int, int]:
        if self.kernel_size is None:
            smaller = min(height, width)
            side = min(64, smaller, 8 * math.ceil(smaller / 4 / 8))
            return side, side
        if isinstance(self.kernel_size, int):
            return self.kernel_size, self.kernel_size
        return self.kernel_size[0], self.kernel_size[1]

    def canvas(self, image: Tensor, kernel: Tensor) -> Canvas:
        """On which pictures (B, C, H, W) are blurred by kernels (B, 1, h, w)."""
        frame, sides = (image.shape[-2], image.shape[-1]), (kernel.shape[-2], kernel.shape[-1])
        if sides[0] > frame[0] or sides[1] > frame[1]:
            raise IptError(f"a kernel of {sides[0]}x{sides[1]} is larger than the picture of {frame[0]}x{frame[1]}")
        return Canvas.around(frame, sides, self.border)

    def forward(self, image: Tensor, kernel: Tensor) -> Tensor:  # type: ignore[override]  # it has one, by name
        canvas = self.canvas(image, kernel)
        spectrum = torch.fft.rfft2(canvas.extend(image)) * canvas.transfer(kernel)
        return canvas.crop(canvas.inverse(spectrum))

    def constrain(self, parameters: Mapping[str, Tensor]) -> Unknowns:
        """Negative values to 0, then divided by the sum, an image at a time; a kernel of nothing becomes flat."""
        positive = parameters["kernel"].clamp(min=0)
        total = positive.sum((-3, -2, -1), keepdim=True)
        flat = torch.full_like(positive, 1 / positive[0].numel())
        return {**parameters, "kernel": torch.where(total > 1e-8, positive / total.clamp(min=1e-8), flat)}

    def canonicalize(self, image: Tensor, parameters: Mapping[str, Tensor]) -> tuple[Tensor, Unknowns]:
        """The kernel's centroid at its centre pixel, by less than a pixel, and the picture moved the other way."""
        kernel = parameters["kernel"]
        shift = off_centre(kernel).clamp(-1, 1)
        centred = self.constrain({**parameters, "kernel": moved(kernel, -shift)})
        # Around the frame its reflection, so that no edge of what lies there rings into the picture.
        border = "circular" if self.border == "circular" else "unknown"
        canvas = replace(self, border=border).canvas(image, kernel)
        return canvas.crop(moved(canvas.extend(image), shift, wrap=True)), centred

    def coarser(self, image_shape: tuple[int, ...]) -> Coarser | None:
        """With a window of half the sides, rounded up to a multiple of 8. None: the window would be narrow, or a
        circular picture's side is odd."""
        frame = image_shape[-2:]
        sides = self._sides(*frame)
        if min(sides) < 2 * _NARROWEST - 1 or (self.border == "circular" and any(side % 2 for side in frame)):
            return None
        height, width = (
            min(8 * math.ceil(side / 16), math.ceil(length / 2)) for side, length in zip(sides, frame, strict=True)
        )
        return Coarser(
            replace(self, kernel_size=(height, width)),
            lambda parameters: {**parameters, "kernel": doubled(parameters["kernel"], sides)},
        )

    def image_step(
        self,
        observation: Observation,
        image: Belief,
        parameters: Mapping[str, Tensor],
        beliefs: Mapping[str, Belief],
    ) -> Tensor | None:
        if observation.mask is not None:
            return None
        kernel = parameters["kernel"]
        return blur_steps.image(self.canvas(image.mean, kernel), observation, image, kernel, beliefs.get("kernel"))

    def parameter_step(
        self,
        observation: Observation,
        image: Belief,
        parameters: Mapping[str, Belief],
        known: Mapping[str, Tensor],
    ) -> Unknowns | None:
        if observation.mask is not None:
            return None
        canvas = self.canvas(image.mean, parameters["kernel"].mean)
        return {"kernel": blur_steps.kernel(canvas, observation, image, parameters["kernel"])}
