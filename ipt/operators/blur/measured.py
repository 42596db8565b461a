"""A measurement where the steps of `blur` and `turbulence` need it: on the periodic grid, decorrelated."""

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
"""Noise level of the image, of 0..1, from which on steps in single precision agree with double (docs/method.md)."""
SINGLE_KERNEL = 0.1
"""The same for kernels: those of dark or flat pictures are badly conditioned for longer."""
_TAPER = 8
"""Pixels."""


@dataclass(frozen=True)
class Measured:
    """A measurement on the grid, in luminance and chrominance.

    Attributes:
        values: (B, C, P, Q), 0 where nothing was measured.
        mask: weights, (B, 1, P, Q), 0 where nothing was measured; None where all of the grid was measured.
        noise_variance: (B, 1, 1, 1).
    """

    values: Tensor
    mask: Tensor | None
    noise_variance: Tensor

    @classmethod
    def on(cls, padded: PaddedFrame, observation: Observation, dtype: torch.dtype) -> Measured:
        """An observation on the frame, in the arithmetic of a step; the same object for the same arguments."""
        return _measured_on(padded, observation, dtype)

    @classmethod
    def _on(cls, padded: PaddedFrame, observation: Observation, dtype: torch.dtype) -> Measured:
        values, noise_variance = to_luma_chroma(observation.measurement.to(dtype)), observation.noise_variance.to(dtype)
        if observation.mask is None and padded.closed:
            return cls(values, None, noise_variance)
        inside = torch.ones_like(values[:, :1])
        if observation.mask is not None:
            # A pixel of which one channel was not measured is left out: luminance needs all of them.
            mask = observation.mask.to(dtype)
            inside = mask.square().mean(1, keepdim=True).sqrt() * (mask > 0).all(1, keepdim=True)
        return cls(padded.embed(values * (inside > 0)), padded.embed(inside), noise_variance)

    def only(self, grid: Tensor) -> Tensor:
        """What of a picture on the grid was measured, and 0 elsewhere."""
        return grid if self.mask is None else self.mask * grid

    def taper(self) -> Tensor:
        """What was measured, (B, 1, P, Q), fading to nothing at its edges so that these leak over few frequencies."""
        if self.mask is None:
            return torch.ones_like(self.values[:, :1])
        near = self.mask * F.avg_pool2d(self.mask, 2 * _TAPER + 1, 1, _TAPER, count_include_pad=True)
        # A small frame, and a mask of many holes, are all edge: what is furthest from it counts in full.
        near = near / near.amax((-2, -1), keepdim=True).clamp(min=1e-6)
        return (2 * near - 1).clamp(0, 1).sqrt()

    @property
    def count(self) -> Tensor | float:
        """How many pixels of the grid were measured, (B, 1, 1, 1), at least one."""
        if self.mask is None:
            return float(self.values[0, 0].numel())
        return self.mask.square().sum((-3, -2, -1), keepdim=True).clamp(min=1)


@lru_cache(maxsize=2)
def _measured_on(padded: PaddedFrame, observation: Observation, dtype: torch.dtype) -> Measured:
    """For all steps of a problem: of one kind of arithmetic first, then of the other."""
    return Measured._on(padded, observation, dtype)


def squared(spectrum: Tensor) -> Tensor:
    """|spectrum|^2; `abs` would take the root of it first."""
    return spectrum.real.square() + spectrum.imag.square()


def arithmetic(image: Belief, single: float = SINGLE) -> torch.dtype:
    """Double precision while the image's noise is high, and the steps' systems badly conditioned; then the image's own.

    So where it was not seen at all, since what is found then is only a start. Apple's GPUs have no double.
    """
    fine = image.sigma <= single or math.isinf(image.sigma)
    return image.mean.dtype if fine or image.mean.device.type == "mps" else torch.float64
