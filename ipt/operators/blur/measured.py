"""The measurement as the steps of `blur`, `shake` and `turbulence` use it.

It lies on the periodic grid of the convolution (`ipt.operators.blur.padded_frame`), its channels decorrelated to
luminance and chrominance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.core.abilities import Belief
from ipt.core.observation import Observation
from ipt.linalg.spectra import to_luma_chroma
from ipt.operators.blur.padded_frame import PaddedFrame

SINGLE = 0.25
"""Noise level of the image, in units of 0..1, at and below which the image step is done in single precision
(docs/method.md)."""
SINGLE_KERNEL = 0.1
"""The same for the kernel step, which dark or flat pictures make badly conditioned down to lower levels."""
_TAPER = 8
"""Half of the width in pixels over which `Measured.taper` falls off."""


@dataclass(frozen=True)
class Measured:
    """A measurement on the grid, in luminance and chrominance.

    Attributes:
        values: (B, C, P, Q), 0 where nothing was measured.
        mask: weights, (B, 1, P, Q), 0 where nothing was measured; None where all of the grid was measured.
        noise_variance: variance of the noise where the weight is 1, (B, 1, 1, 1).
    """

    values: Tensor
    mask: Tensor | None
    noise_variance: Tensor

    @classmethod
    def on(cls, padded: PaddedFrame, observation: Observation, dtype: torch.dtype) -> Measured:
        """The observation on the grid, in this precision. Cached: equal arguments give the same object."""
        return _measured_on(padded, observation, dtype)

    @classmethod
    def _on(cls, padded: PaddedFrame, observation: Observation, dtype: torch.dtype) -> Measured:
        values, noise_variance = to_luma_chroma(observation.measurement.to(dtype)), observation.noise_variance.to(dtype)
        if observation.mask is None and padded.closed:
            return cls(values, None, noise_variance)
        inside = torch.ones_like(values[:, :1])
        if observation.mask is not None:
            # Luminance needs all channels of a pixel, so one with a missing channel is left out.
            mask = observation.mask.to(dtype)
            inside = mask.square().mean(1, keepdim=True).sqrt() * (mask > 0).all(1, keepdim=True)
        return cls(padded.embed(values * (inside > 0)), padded.embed(inside), noise_variance)

    def masked(self, grid: Tensor) -> Tensor:
        """A picture on the grid times the mask."""
        return grid if self.mask is None else self.mask * grid

    def taper(self) -> Tensor:
        """A window over what was measured, (B, 1, P, Q), that falls off towards its edges to limit spectral leakage."""
        if self.mask is None:
            return torch.ones_like(self.values[:, :1])
        near = self.mask * F.avg_pool2d(self.mask, 2 * _TAPER + 1, 1, _TAPER, count_include_pad=True)
        # In a small frame, or one with many holes, every pixel is near an edge: the furthest from one gets weight 1.
        near = near / near.amax((-2, -1), keepdim=True).clamp(min=1e-6)
        return (2 * near - 1).clamp(0, 1).sqrt()

    @property
    def count(self) -> Tensor | float:
        """Number of measured pixels of the grid, by weight squared, (B, 1, 1, 1), at least 1."""
        if self.mask is None:
            return float(self.values[0, 0].numel())
        return self.mask.square().sum((-3, -2, -1), keepdim=True).clamp(min=1)


@lru_cache(maxsize=2)
def _measured_on(padded: PaddedFrame, observation: Observation, dtype: torch.dtype) -> Measured:
    # Two entries: the steps of a solve use double precision first, then single.
    return Measured._on(padded, observation, dtype)


def squared(spectrum: Tensor) -> Tensor:
    """|spectrum|^2, without the square root that `abs` would take."""
    return spectrum.real.square() + spectrum.imag.square()


def fully_measured(observation: Observation, like: Tensor) -> Tensor:
    """1 where all channels were measured, which luminance needs, else 0, (B, 1, P, Q); like: a tensor (B, C, P, Q)."""
    if observation.mask is None:
        return torch.ones_like(like[:, :1])
    return (observation.mask > 0).all(1, keepdim=True).to(like)


def arithmetic(image: Belief, single: float = SINGLE) -> torch.dtype:
    """The precision of a step: double at high noise levels, where its system is badly conditioned, else the image's.

    An image that was not seen at all (an infinite level) also keeps its own precision, because the result is then only
    a starting point. Apple's GPUs have no double precision.

    Args:
        image: belief about the image.
        single: noise level up to which the image's own precision is enough.
    """
    fine = image.sigma <= single or math.isinf(image.sigma)
    return image.mean.dtype if fine or image.mean.device.type == "mps" else torch.float64
