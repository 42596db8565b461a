"""The image step's normal equations where not all of the grid was measured, in luminance and chrominance.

    (A' M noise^-1 M A + E^-1) change = A' M noise^-1 M (y - A mean)

A is the blur on the grid. The solution without M is the preconditioner of conjugate gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ipt.linalg.conjugate_gradients import conjugate_gradients
from ipt.operators.blur.measured import Measured
from ipt.operators.blur.padded_frame import PaddedFrame, as_factor


@dataclass(frozen=True)
class MaskedSystem:
    """The normal equations.

    Attributes:
        padded: geometry of the convolution.
        measured: the measurement on the grid, with its mask.
        forward: A, from the spectrum of a picture on the grid, (B, C, P, Q // 2 + 1), to the blurred picture.
        adjoint: A', from a picture on the grid to a spectrum.
        noise: variance of the noise by frequency, or of every frequency, (B, 1 or C, 1, 1).
        error: E, variance of the image by frequency.
        gain: inverse of the system without mask, by frequency.
    """

    padded: PaddedFrame
    measured: Measured
    forward: Callable[[Tensor], Tensor]
    adjoint: Callable[[Tensor], Tensor]
    noise: Tensor
    error: Tensor
    gain: Tensor

    def solve(self, unexplained: Tensor, iterations: int, tolerance: float) -> Tensor:
        """The change of the image, (B, C, H, W), given measurement - prediction on the grid."""
        if self.padded.size == self.padded.image:
            return self._solve_on_grid(unexplained, iterations, tolerance)
        return self._solve_extended(unexplained, iterations, tolerance)

    @cached_property
    def _divided(self) -> Callable[[Tensor], Tensor]:
        """Division of a picture on the grid by the noise."""
        weight = 1 / self.noise
        if self.noise.shape[-1] == 1:
            return lambda residual: residual * weight
        return self.padded.repeated_filter(weight)

    def _weighted(self, residual: Tensor) -> Tensor:
        """M noise^-1 M r."""
        return self.measured.masked(self._divided(self.measured.masked(residual)))

    def _solve_on_grid(self, unexplained: Tensor, iterations: int, tolerance: float) -> Tensor:
        """Where image and grid are one. Conjugate gradients run on spectra: all but the mask is a product there."""
        pull, gain = as_factor(1 / self.error), as_factor(self.gain)

        def apply(change: Tensor) -> Tensor:
            return torch.addcmul(self.adjoint(self._weighted(self.forward(change))), pull, change)

        right = self.adjoint(self._weighted(unexplained))
        found = conjugate_gradients(
            apply, right, None, iterations, lambda residual: residual * gain, tolerance, self.padded.inner
        )
        return self.padded.inverse(found)

    def _solve_extended(self, unexplained: Tensor, iterations: int, tolerance: float) -> Tensor:
        """Where the border's rule extends the image over a larger grid."""
        padded, pull = self.padded, 1 / self.error

        def apply(change: Tensor) -> Tensor:
            spectrum = torch.fft.rfft2(padded.extend(change))
            return padded.fold(padded.inverse(self.adjoint(self._weighted(self.forward(spectrum))) + spectrum * pull))

        def precondition(residual: Tensor) -> Tensor:
            return padded.crop(padded.filtered(padded.uncrop(residual), self.gain))

        right = padded.fold(padded.inverse(self.adjoint(self._weighted(unexplained))))
        return conjugate_gradients(apply, right, None, iterations, precondition, tolerance)
