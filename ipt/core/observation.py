"""What was measured."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ipt.core.errors import IptError
from ipt.linalg.norms import rms

_FAR = 10.0  # mean size of values that are of another scale, such as 0..255


@dataclass(frozen=True)
class Observation:
    """A measurement."""

    measurement: Tensor  # (B, C, H, W) in 0..1; 0 where nothing was measured
    noise: Tensor  # standard deviation of its noise, (B, 1, 1, 1), in the same units
    mask: Tensor | None = None  # 1 where something was measured, else 0, (B, 1 or C, H, W); None: everywhere

    @classmethod
    def checked(cls, measurement: Tensor, noise: float | Tensor, mask: Tensor | None = None) -> Observation:
        """Of arguments as of `Solver.problem`."""
        batch = len(measurement)
        if measurement.ndim != 4:
            raise IptError(f"a measurement is (batch, channels, height, width), not {tuple(measurement.shape)}")
        if not measurement.is_floating_point():
            raise IptError(f"a measurement is of real floating-point numbers in 0..1, not of {measurement.dtype}")
        if mask is not None:
            size = (1, batch), (1, measurement.shape[1]), measurement.shape[-2:-1], measurement.shape[-1:]
            if mask.ndim != 4 or any(side not in may for side, may in zip(mask.shape, size, strict=True)):
                raise IptError(f"a mask of {tuple(mask.shape)} does not fit a measurement {tuple(measurement.shape)}")
            mask = mask.to(measurement).expand(batch, *mask.shape[1:])
            if not ((mask == 0) | (mask == 1)).all() or not mask.flatten(1).any(1).all():
                raise IptError("a mask is 1 where something was measured, 0 elsewhere, and nowhere 0 all over an image")
            measurement = torch.where(mask.bool(), measurement, 0)
        if not torch.isfinite(measurement).all():
            raise IptError("the measurement has NaN or infinite values")
        if (measurement.abs().flatten(1).mean(1) > _FAR).any():
            low, high = float(measurement.min()), float(measurement.max())
            raise IptError(f"the measurement runs from {low:.4g} to {high:.4g}; scale it to 0..1")
        level = torch.as_tensor(noise, dtype=measurement.dtype, device=measurement.device).reshape(-1, 1, 1, 1)
        if not (level > 0).all() or not torch.isfinite(level).all():
            raise IptError(f"the noise level must be above 0 and finite, not {noise}")
        if len(level) not in (1, batch):
            raise IptError(f"{len(level)} noise levels for {batch} images: give one, or one an image")
        return cls(measurement, level.expand(batch, 1, 1, 1), mask)

    def __len__(self) -> int:
        return len(self.measurement)

    @property
    def noise_variance(self) -> Tensor:
        """(B, 1, 1, 1)."""
        return self.noise.square()

    def repeated(self, times: int) -> Observation:
        """The same with every image of the batch so many times, one after the other."""
        mask = None if self.mask is None else self.mask.repeat_interleave(times, 0)
        return Observation(self.measurement.repeat_interleave(times, 0), self.noise.repeat_interleave(times, 0), mask)

    def residual(self, prediction: Tensor) -> Tensor:
        """Measurement - prediction, (B, C, H, W); 0 where nothing was measured."""
        rest = self.measurement - prediction
        return rest if self.mask is None else self.mask * rest

    def rms(self, residual: Tensor) -> Tensor:
        """Root mean square of a residual over what was measured, (B,)."""
        if self.mask is None:
            return rms(residual)
        return (residual.square().flatten(1).sum(1) / self.mask.expand_as(residual).flatten(1).sum(1)).sqrt()
