"""What was measured, and how noisy it is."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ipt.core.errors import IptError


@dataclass(frozen=True)
class Observation:
    """A measurement with weights that make its noise white: the larger the noise of a pixel, the lower its weight."""

    measurement: Tensor  # (B, C, H, W), of pictures in 0..1; 0 where nothing was measured
    noise: Tensor  # standard deviation of the noise where the weight is 1, (B, 1, 1, 1), in the same units
    mask: Tensor | None = None  # weights, 0 where nothing was measured, (B, 1 or C, H, W); None: 1 everywhere
    floor: Tensor | None = None  # where the noise depends on the signal: its variance without signal, (B, ...)
    gain: Tensor | None = None  # and its variance per unit of signal, (B, 1, 1, 1); see `at`

    @classmethod
    def checked(
        cls, measurement: Tensor, noise: float | Tensor, mask: Tensor | None = None, gain: float | Tensor = 0.0
    ) -> Observation:
        """An observation of checked arguments, which are those of `Solver.problem`."""
        if measurement.ndim != 4:
            raise IptError(f"a measurement is (batch, channels, height, width), not {tuple(measurement.shape)}")
        if not measurement.is_floating_point():
            raise IptError(f"a measurement is of real floating-point numbers, not of {measurement.dtype}")
        batch, weights = len(measurement), None
        if mask is not None:
            if mask.ndim != 4 or mask.shape[2:] != measurement.shape[2:] or not _fits(mask, measurement):
                raise IptError(f"a mask of {tuple(mask.shape)} does not fit a measurement {tuple(measurement.shape)}")
            weights = mask.to(measurement).expand(batch, *mask.shape[1:])
            if not ((weights == 0) | (weights == 1)).all() or not weights.flatten(1).any(1).all():
                raise IptError("a mask is 1 where something was measured, 0 elsewhere, and nowhere 0 all over an image")
            measurement = torch.where(weights.bool(), measurement, 0)
        if not torch.isfinite(measurement).all():
            raise IptError("the measurement has NaN or infinite values")
        given = (torch.as_tensor(each).to(measurement) for each in (noise, gain))
        level, slope = (each if each.ndim == 4 else each.reshape(-1, 1, 1, 1) for each in given)
        if not (_fits(level, measurement) and _fits(slope, measurement)):
            raise IptError(
                f"{len(level)} noise levels for {batch} images: give one, one an image, or maps of their size"
            )
        floor, slope = (each.expand(batch, *each.shape[1:]) for each in (level.square(), slope))
        total = floor + slope
        if not ((level >= 0).all() and (slope >= 0).all() and (total > 0).all() and total.isfinite().all()):
            raise IptError(f"the noise level must be above 0 and finite, not {noise}")
        if not slope.any() and floor[0].numel() == 1:
            return cls(measurement, level.expand(batch, 1, 1, 1), weights)
        seen = torch.ones_like(measurement) if weights is None else weights.expand_as(measurement)
        precision = (seen / _variance(floor, slope, measurement)).flatten(1).sum(1) / seen.flatten(1).sum(1)
        found = cls(measurement, precision.rsqrt().reshape(-1, 1, 1, 1), weights, floor, slope)
        return found if slope.any() else found.at(measurement)

    def __len__(self) -> int:
        return len(self.measurement)

    @property
    def noise_variance(self) -> Tensor:
        """Variance of the noise where the weight is 1, (B, 1, 1, 1)."""
        return self.noise.square()

    def at(self, signal: Tensor) -> Observation:
        """This observation with the weights that belong to a signal (B, C, H, W), where they depend on it."""
        if self.floor is None or self.gain is None:
            return self
        weights = self.noise / _variance(self.floor, self.gain, signal.detach()).sqrt()
        return replace(self, mask=weights if self.mask is None else self.mask * weights, floor=None, gain=None)

    def repeated(self, times: int) -> Observation:
        """This observation with every image of the batch repeated, the copies one after the other."""
        given = {name: value for name, value in vars(self).items() if value is not None}
        return replace(self, **{name: value.repeat_interleave(times, 0) for name, value in given.items()})

    def residual(self, prediction: Tensor) -> Tensor:
        """Weighted measurement - prediction, (B, C, H, W): 0 where nothing was measured."""
        rest, mask = self.measurement - prediction, self.at(prediction).mask
        return rest if mask is None else mask * rest

    def rms(self, residual: Tensor) -> Tensor:
        """Root mean square of a residual over what was measured, (B,)."""
        seen = torch.ones_like(residual) if self.mask is None else (self.mask > 0).expand_as(residual)
        return (residual.square().flatten(1).sum(1) / seen.flatten(1).sum(1)).sqrt()


def _fits(tensor: Tensor, measurement: Tensor) -> bool:
    """Whether a tensor of as many dimensions broadcasts to the measurement."""
    return all(side in (1, whole) for side, whole in zip(tensor.shape, measurement.shape, strict=True))


def _variance(floor: Tensor, gain: Tensor, signal: Tensor) -> Tensor:
    """Variance of the noise of a signal, which counts as at least one count."""
    return floor + gain * torch.maximum(signal, gain)
