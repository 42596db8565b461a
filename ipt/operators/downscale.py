"""Downscaling by a known whole factor f: each pixel is the mean of a block of f x f pixels, or one of them.

    mean:    y[i, j] = mean of x[f i + a, f j + b] over a, b in 0..f-1       (a sensor with larger pixels)
    sample:  y[i, j] = x[f i, f j]                                           (no filter: it aliases)

Behind a blur whose kernel is unknown, `sample` is the classical model of blind super-resolution: y = (k * x) sampled
(as in Zhang, Van Gool, Timofte, "Deep Unfolding Network for Image Super-Resolution", arXiv 2003.10428, equation 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.core.abilities import Belief, ExactSteps, Linear
from ipt.core.errors import IptError
from ipt.core.observation import Observation
from ipt.core.operator import ParameterSpec, ParametricOperator, Unknowns

METHODS = ("mean", "sample")


@dataclass(frozen=True)
class Downscale(ParametricOperator, Linear, ExactSteps):
    """A picture at 1 / factor of the height and width, without unknown parameters.

    Args:
        factor: whole number from 1 up; the picture's sides are multiples of it.
        method: mean (of a block) or sample (the block's upper left pixel).
    """

    factor: int = 2
    method: str = "mean"

    def __post_init__(self) -> None:
        if not isinstance(self.factor, int) or self.factor < 1:
            raise IptError(f"operator.factor is a whole number from 1 up, not {self.factor!r}")
        if self.method not in METHODS:
            raise IptError(f"operator.method is one of {', '.join(METHODS)}, not {self.method!r}")

    def parameters(self, image_shape: tuple[int, ...]) -> dict[str, ParameterSpec]:
        height, width = image_shape[-2:]
        if height % self.factor or width % self.factor:
            raise IptError(f"a picture of {width} x {height} px cannot be downscaled {self.factor} times: crop it")
        return {}

    def image_shape(self, measurement_shape: tuple[int, ...]) -> tuple[int, ...]:
        channels, height, width = measurement_shape
        return channels, height * self.factor, width * self.factor

    def forward(self, image: Tensor) -> Tensor:  # type: ignore[override]  # it has no parameters
        if self.method == "mean":
            return F.avg_pool2d(image, self.factor)
        return image[..., :: self.factor, :: self.factor]

    def image_step(
        self, observation: Observation, image: Belief, parameters: Mapping[str, Tensor], beliefs: Mapping[str, Belief]
    ) -> Tensor | None:
        """The exact step where everything was measured, else None.

        With D this operator and V the variances of the belief, D V D' is diagonal, and the image is
        mean + V D' (D V D' + noise_variance)^-1 (y - D mean).
        """
        if observation.mask is not None:
            return None
        variance = image.covariance.variance.expand_as(image.mean)
        spread = self.forward(variance)
        if self.method == "mean":
            spread = spread / self.factor**2
        gain = observation.residual(self.forward(image.mean)) / (spread + observation.noise_variance)
        return image.mean + variance * self._adjoint(gain)

    def parameter_step(
        self, observation: Observation, image: Belief, parameters: Mapping[str, Belief], known: Mapping[str, Tensor]
    ) -> Unknowns:
        """Nothing: there are no parameters."""
        return {}

    def _adjoint(self, measured: Tensor) -> Tensor:
        """D' y, (B, C, f h, f w)."""
        if self.method == "mean":
            blocks = measured.repeat_interleave(self.factor, -2).repeat_interleave(self.factor, -1)
            return blocks / self.factor**2
        height, width = measured.shape[-2] * self.factor, measured.shape[-1] * self.factor
        placed = torch.zeros(*measured.shape[:-2], height, width, dtype=measured.dtype, device=measured.device)
        placed[..., :: self.factor, :: self.factor] = measured
        return placed
