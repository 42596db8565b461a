"""What the air does to a picture, as linear maps with their adjoints, and how much a residual of it counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ipt.core.observation import Observation
from ipt.linalg.parts import in_parts
from ipt.operators.blur.measured import Measured
from ipt.operators.blur.padded_frame import PaddedFrame
from ipt.operators.turbulence.warp import warp, warp_adjoint, warp_gradient


@dataclass(frozen=True)
class Optics:
    """M(k, u), linear in the image: what the air does to a picture (B, C, H, W) before a frame of it is measured.

    Attributes:
        padded: the grid of the convolution.
        transfer: spectrum of the kernel on it, (B, 1, P, Q // 2 + 1).
        tilt: in pixels, (B, 2, H, W).
        first: whether the tilt comes before the blur.
        interpolation: of the warp.
    """

    padded: PaddedFrame
    transfer: Tensor
    tilt: Tensor
    first: bool
    interpolation: str

    def part(self, rows: slice) -> Optics:
        """Of some of the pictures."""
        return replace(self, transfer=self.transfer[rows], tilt=self.tilt[rows])

    def warped(self, picture: Tensor) -> Tensor:
        """By the tilt."""
        return warp(picture, self.tilt, self.interpolation, self.padded.border)

    def unwarped(self, picture: Tensor) -> Tensor:
        """The adjoint of `warped`."""
        return warp_adjoint(picture, self.tilt, self.interpolation, self.padded.border)

    def blurred(self, picture: Tensor) -> Tensor:
        """By the kernel."""
        padded, transfer = self.padded, self.transfer.expand(len(picture), -1, -1, -1)
        return in_parts(
            lambda rows: padded.crop(padded.filtered(padded.extend(picture[rows]), transfer[rows])), picture.shape
        )

    def unblurred(self, picture: Tensor) -> Tensor:
        """The adjoint of `blurred`."""
        padded, transfer = self.padded, self.transfer.expand(len(picture), -1, -1, -1)
        return in_parts(
            lambda rows: padded.fold(padded.filtered(padded.uncrop(picture[rows]), transfer[rows].conj())),
            picture.shape,
        )

    def forward(self, picture: Tensor) -> Tensor:
        """M x."""
        return self.blurred(self.warped(picture)) if self.first else self.warped(self.blurred(picture))

    def adjoint(self, picture: Tensor) -> Tensor:
        """M' y."""
        return self.unwarped(self.unblurred(picture)) if self.first else self.unblurred(self.unwarped(picture))

    def derivative(self, picture: Tensor) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
        """Of `forward` in the tilt: J (B, 2, H, W) -> (B, C, H, W), and its adjoint."""
        seen = picture if self.first else self.blurred(picture)
        slope = warp_gradient(seen, self.tilt, self.interpolation, self.padded.border)

        def along(change: Tensor) -> Tensor:
            moved = in_parts(lambda rows: (slope[rows] * change[rows, None]).sum(2), change.shape)
            return self.blurred(moved) if self.first else moved

        def back(residual: Tensor) -> Tensor:
            seen = self.unblurred(residual) if self.first else residual
            return in_parts(lambda rows: (slope[rows] * seen[rows, :, None]).sum(1), seen.shape)

        return along, back


@dataclass(frozen=True)
class Weight:
    """How much a residual counts: c F^-1 (1 / noise) F c.

    Attributes:
        padded: the grid of the convolution.
        noise: variance a frequency.
        confidence: c, a pixel, (B, 1, H, W); 0 where nothing was measured.
    """

    padded: PaddedFrame
    noise: Tensor
    confidence: Tensor

    @classmethod
    def of(cls, optics: Optics, observation: Observation, noise: Tensor, disturbance: Tensor | float = 0.0) -> Weight:
        """The weight of an observation.

        Args:
            optics: of its frames.
            observation: what was measured.
            noise: variance a frequency.
            disturbance: variance a pixel that comes on top of it, (B, 1, H, W).
        """
        padded = optics.padded
        measured = Measured.on(padded, observation, optics.tilt.dtype).mask
        inside = torch.ones_like(optics.tilt[:, :1]) if measured is None else padded.crop(measured)
        level = 1 / (1 / noise).mean((-3, -2, -1), keepdim=True)
        return cls(padded, noise, inside * (level / (level + disturbance)).sqrt())

    def part(self, rows: slice) -> Weight:
        """Of some of the frames."""
        return replace(self, noise=self.noise[rows], confidence=self.confidence[rows])

    def __call__(self, residual: Tensor) -> Tensor:
        padded, confidence, noise = self.padded, self.confidence, self.noise

        def weighed(rows: slice) -> Tensor:
            spread = padded.uncrop(confidence[rows] * residual[rows])
            return confidence[rows] * padded.crop(padded.filtered(spread, 1 / noise[rows]))

        return in_parts(weighed, residual.shape)
