"""The forward model of `turbulence` as a linear map of the image, with its adjoint, its derivative, and a weight.

Everything is computed in chunks of frames (`ipt.linalg.chunks`), which keeps the memory of long bursts small.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ipt.core.observation import Observation
from ipt.linalg.chunks import in_chunks
from ipt.operators.blur.measured import Measured
from ipt.operators.blur.padded_frame import PaddedFrame
from ipt.operators.turbulence.warp import warp, warp_adjoint, warp_gradient


@dataclass(frozen=True)
class Optics:
    """M(k, u): warp and blur of images (B, C, H, W), before the measured frame is cut out.

    Attributes:
        padded: grid of the convolution.
        transfer: spectrum of the kernel on the grid, (B, 1, P, Q // 2 + 1).
        tilt: tilt field in pixels, (B, 2, H, W).
        tilt_first: whether the image is warped before it is blurred.
        interpolation: interpolation of the warp, bicubic or bilinear.
    """

    padded: PaddedFrame
    transfer: Tensor
    tilt: Tensor
    tilt_first: bool
    interpolation: str

    def rows(self, rows: slice) -> Optics:
        """The forward model of some rows of the batch."""
        return replace(self, transfer=self.transfer[rows], tilt=self.tilt[rows])

    def warped(self, picture: Tensor) -> Tensor:
        """W_u x, (B, C, H, W)."""
        return warp(picture, self.tilt, self.interpolation, self.padded.border)

    def warped_adjoint(self, picture: Tensor) -> Tensor:
        """The adjoint of `warped`."""
        return warp_adjoint(picture, self.tilt, self.interpolation, self.padded.border)

    def blurred(self, picture: Tensor) -> Tensor:
        """K * x, (B, C, H, W)."""
        padded, transfer = self.padded, self.transfer.expand(len(picture), -1, -1, -1)

        def blurred(rows: slice) -> Tensor:
            return padded.crop(padded.filtered(padded.extend(picture[rows]), transfer[rows]))

        return in_chunks(blurred, picture.shape)

    def blurred_adjoint(self, picture: Tensor) -> Tensor:
        """The adjoint of `blurred`."""
        padded, transfer = self.padded, self.transfer.expand(len(picture), -1, -1, -1)

        def adjoint(rows: slice) -> Tensor:
            return padded.fold(padded.filtered(padded.uncrop(picture[rows]), transfer[rows].conj()))

        return in_chunks(adjoint, picture.shape)

    def forward(self, picture: Tensor) -> Tensor:
        """M x."""
        return self.blurred(self.warped(picture)) if self.tilt_first else self.warped(self.blurred(picture))

    def adjoint(self, picture: Tensor) -> Tensor:
        """M' y."""
        if self.tilt_first:
            return self.warped_adjoint(self.blurred_adjoint(picture))
        return self.blurred_adjoint(self.warped_adjoint(picture))

    def derivative(self, picture: Tensor) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
        """The derivative J of `forward` in the tilt, at an image (B, C, H, W).

        Returns:
            J, (B, 2, H, W) -> (B, C, H, W), and its adjoint.
        """
        before_warp = picture if self.tilt_first else self.blurred(picture)
        slope = warp_gradient(before_warp, self.tilt, self.interpolation, self.padded.border)

        def forward(change: Tensor) -> Tensor:
            moved = in_chunks(lambda rows: (slope[rows] * change[rows, None]).sum(2), change.shape)
            return self.blurred(moved) if self.tilt_first else moved

        def adjoint(residual: Tensor) -> Tensor:
            warped = self.blurred_adjoint(residual) if self.tilt_first else residual
            return in_chunks(lambda rows: (slope[rows] * warped[rows, :, None]).sum(1), warped.shape)

        return forward, adjoint


@dataclass(frozen=True)
class Weight:
    """The inverse covariance of a residual, c F^-1 (1 / noise) F c, with F the Fourier transform.

    Attributes:
        padded: grid of the convolution.
        noise: variance of the noise by frequency, (B, C, P, Q // 2 + 1) or a shape that broadcasts to it.
        confidence: c, a weight for each pixel, (B, 1, H, W), 0..1; 0 where nothing was measured.
    """

    padded: PaddedFrame
    noise: Tensor
    confidence: Tensor

    @classmethod
    def of(cls, optics: Optics, observation: Observation, noise: Tensor, disturbance: Tensor | float = 0.0) -> Weight:
        """The weight of an observation.

        Args:
            optics: forward model of its frames.
            observation: what was measured.
            noise: variance of the noise by frequency.
            disturbance: additional variance by pixel, (B, 1, H, W).
        """
        padded = optics.padded
        measured = Measured.on(padded, observation, optics.tilt.dtype).mask
        inside = torch.ones_like(optics.tilt[:, :1]) if measured is None else padded.crop(measured)
        level = 1 / (1 / noise).mean((-3, -2, -1), keepdim=True)
        return cls(padded, noise, inside * (level / (level + disturbance)).sqrt())

    def rows(self, rows: slice) -> Weight:
        """The weight of some rows of the batch."""
        return replace(self, noise=self.noise[rows], confidence=self.confidence[rows])

    def __call__(self, residual: Tensor) -> Tensor:
        padded, confidence, noise = self.padded, self.confidence, self.noise

        def weighed(rows: slice) -> Tensor:
            spread = padded.uncrop(confidence[rows] * residual[rows])
            return confidence[rows] * padded.crop(padded.filtered(spread, 1 / noise[rows]))

        return in_chunks(weighed, residual.shape)
