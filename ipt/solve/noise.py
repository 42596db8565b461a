"""The assumed noise of a measurement: given by the user, declared by the operator, or estimated from its pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import optimize
from torch import Tensor

from ipt.core.abilities import MeasurementSpec
from ipt.core.errors import IptError
from ipt.images.files import ROUNDING_NOISE
from ipt.images.light import decoded, noise_gain
from ipt.images.noise import Noise, Poisson

LEAST = 0.007
"""The least standard deviation that is assumed if none is given, for values in 0..1: docs/method.md, "Constants"."""

# The fourth difference passes almost only the finest scale, at which a blurred picture has no detail.
_FOURTH = np.array([1.0, -4.0, 6.0, -4.0, 1.0])
_NORMAL = 0.6744897501960817
"""Median of |z| for a standard normal z."""
_BINS = 24
"""Bins of brightness, in each of which Poisson noise is estimated by itself."""
_ENOUGH, _STRIP = 2**20, 64
"""Pixels that an estimate uses of a picture with more than twice as many, and rows of each strip of them."""


@dataclass(frozen=True)
class AssumedNoise:
    """Noise of variance level^2 + gain * signal.

    Attributes:
        level: standard deviation where the signal is 0; of a map, its root mean square.
        gain: variance per unit of the signal.
        levels: a map of standard deviations, (1 or C, H, W), in place of `level`.
        least: lower bound of the level, applied after resizing.
    """

    level: float
    gain: float = 0.0
    levels: Tensor | None = None
    least: float = 0.0

    @property
    def model(self) -> str:
        """Kind of noise: "map", "poisson" or "gaussian"."""
        return "map" if self.levels is not None else "poisson" if self.gain else "gaussian"

    @property
    def largest(self) -> float:
        """The largest standard deviation: where the signal is 1, or in the map."""
        return float(self.levels.max()) if self.levels is not None else math.sqrt(self.level**2 + self.gain)

    def resized(self, factor: float, side: int) -> AssumedNoise:
        """The noise after the picture was resized.

        Args:
            factor: by which resizing changes the standard deviation of white noise.
            side: pixels of the resized square, 0 if the picture was not resized.

        Raises:
            IptError: the picture was resized and the noise is a map.
        """
        if not side:
            return self
        if self.levels is not None:
            raise IptError("a map of noise levels is not resized with its picture; choose fit=tile, or one noise=")
        return replace(self, level=self.level * factor, gain=self.gain * factor**2)

    def for_solver(self, channels: int, frames: int, device: str) -> float | Tensor:
        """The argument `noise` of `ipt.core.solver.Solver.problem`, for one measurement of so many frames.

        channels: of each frame.
        """
        if self.levels is None:
            return max(self.level, self.least)
        each = self.levels if frames == 1 else self.levels.expand(channels, -1, -1).repeat(frames, 1, 1)
        return each[None].to(device)


def assumed_noise(
    given: Noise, measured: Sequence[Tensor], spec: MeasurementSpec | None = None, linear: bool = False
) -> AssumedNoise:
    """The noise of a measurement.

    Args:
        given: by the user; None: the operator's own, else an estimate.
        measured: exposures, (C, H, W) each.
        spec: what the operator measures; None: pictures.
        linear: whether linear light is solved. Poisson noise is then that of the light. Other noise is that of the sRGB
            values; the level in the light, where it depends on the signal, is a root mean square.

    Raises:
        IptError: a map of another size than the measurement, or not above 0; a picture too small for an estimate.
    """
    # How much decoding to linear light amplifies the noise of sRGB values.
    decoding = math.sqrt(sum(noise_gain(one) ** 2 for one in measured) / len(measured)) if linear else 1.0
    if given is None and spec is not None and (spec.noise is not None or spec.gain):
        return AssumedNoise(spec.noise or 0.0, spec.gain)
    if given is None:
        levels = [estimate_noise(one, spec is None) for one in measured]
        level = decoding * math.sqrt(sum(one**2 for one in levels) / len(levels))
        return AssumedNoise(level, least=0.0 if spec else decoding * LEAST)
    if isinstance(given, Poisson):
        if given.peak is not None:
            return AssumedNoise(given.read, given.gain)
        pairs = [estimate_poisson(decoded(one) if linear else one) for one in measured]
        variance, slope = (sum(each) / len(pairs) for each in zip(*pairs, strict=True))
        return AssumedNoise(math.sqrt(variance), slope, least=0.0 if slope else ROUNDING_NOISE)
    if isinstance(given, Tensor):
        _check_map(given, measured[0])
        return AssumedNoise(decoding * float(given.double().square().mean().sqrt()), levels=decoding * given)
    return AssumedNoise(decoding * float(given))


def _check_map(levels: Tensor, measurement: Tensor) -> None:
    """IptError where a map of noise levels is not (1 or C, H, W) of a measurement (C, H, W), or not above 0."""
    channels, *sides = measurement.shape
    if levels.ndim != 3 or len(levels) not in (1, channels) or list(levels.shape[1:]) != sides:
        raise IptError(
            f"the map of noise levels is of shape {tuple(levels.shape)}, and the measurement "
            f"{tuple(measurement.shape)}; give a level for each of its entries, in one channel or in all"
        )
    if not bool((levels > 0).all()):
        raise IptError("a map of noise levels is above 0 everywhere; what was not measured is left out by mask=")


def estimate_noise(pixels: Tensor, pictures: bool = True) -> float:
    """Standard deviation of the white noise in a picture, at least ROUNDING_NOISE.

    The median of |d| over the picture's diagonal detail d, here the fourth difference along both axes. The median
    is not affected by edges. Clipped pixels, near 0 and 1, have no noise left and are left out. Fine texture counts as
    noise: on blurred pictures of 64 px and more the estimate is within 15 % from a noise of .005 up (up to a quarter
    too high at .003 where the blur is weak), and for sharp pictures it is an upper bound.

    Args:
        pixels: (C, H, W), of pictures in 0..1.
        pictures: whether it is a picture. Of other numbers, in any units, nothing counts as clipped or rounded, and
            the axes of length 1 are skipped.

    Raises:
        IptError: an axis is shorter than 5 pixels.

    References:
        Donoho, Johnstone, "Ideal spatial adaptation by wavelet shrinkage" (Biometrika 1994), section 3.
    """
    axes = [axis for axis in (1, 2) if pictures or pixels.shape[axis] > 1]
    if min((pixels.shape[axis] for axis in axes), default=0) < len(_FOURTH):
        raise IptError(
            f"the noise of a measurement of {pixels.shape[2]} x {pixels.shape[1]} px cannot be estimated; give noise="
        )
    if pictures and pixels.shape[1] * pixels.shape[2] > 2 * _ENOUGH:
        return float(np.median([_noise_of(strip, pictures, axes) for strip in _strips(pixels)]))
    return _noise_of(pixels, pictures, axes)


def _noise_of(pixels: Tensor, pictures: bool, axes: Sequence[int]) -> float:
    values = pixels.detach().cpu().double().numpy()
    detail = _detail(values, axes)
    if not pictures:
        return float(np.median(np.abs(detail))) / _NORMAL
    unclipped = _unclipped_windows(values)
    # In a picture that is clipped nearly everywhere too few pixels are left: then all of them count.
    chosen = detail[unclipped] if unclipped.sum() >= 64 else detail
    return max(ROUNDING_NOISE, float(np.median(np.abs(chosen))) / _NORMAL)


def _strips(pixels: Tensor) -> list[Tensor]:
    """Evenly spaced strips of a large picture (C, H, W), about `_ENOUGH` pixels in all."""
    height, width = pixels.shape[1:]
    rows = min(_STRIP, height)
    starts = np.linspace(0, height - rows, max(1, _ENOUGH // (rows * width))).round().astype(int)
    return [pixels[:, start : start + rows] for start in starts]


def estimate_poisson(pixels: Tensor) -> tuple[float, float]:
    """Estimate Poisson-Gaussian noise: its variance at signal 0, and the variance per unit of the signal.

    The noise is estimated as by `estimate_noise` in each of `_BINS` bins of the local mean, which hold equally many
    pixels. A line is fitted to their variances by least squares of relative errors, with intercept and slope >= 0.

    Args:
        pixels: (C, H, W) in 0..1.

    Returns:
        Intercept and slope of the variance.

    Raises:
        IptError: the picture has less than 32 pixels on a side.

    References:
        Foi, Trimeche, Katkovnik, Egiazarian, "Practical Poissonian-Gaussian noise modeling and fitting for single-image
        raw-data" (IEEE Transactions on Image Processing 2008).
    """
    values = pixels.detach().cpu().double().numpy()
    if min(values.shape[1:]) < 32:
        raise IptError(
            f"the Poisson noise of a measurement of {values.shape[2]} x {values.shape[1]} px cannot be estimated; say "
            f"noise=poisson:PEAK"
        )
    unclipped = _unclipped_windows(values)
    if unclipped.sum() < 64 * _BINS:
        unclipped[:] = True
    detail = np.abs(_detail(values, (1, 2)))[unclipped]
    windows = np.lib.stride_tricks.sliding_window_view(values, (len(_FOURTH),) * 2, axis=(1, 2))
    mean = windows.mean((-2, -1))[unclipped]
    bins = np.array_split(np.argsort(mean), _BINS)
    brightness = np.array([mean[one].mean() for one in bins])
    variance = np.array([(np.median(detail[one]) / _NORMAL) ** 2 for one in bins]).clip(1e-12)
    design = np.stack([np.ones(_BINS), brightness.clip(0)], 1) / variance[:, None]
    (intercept, slope), _ = optimize.nnls(design, np.ones(_BINS))
    return float(intercept), float(slope)


def _unclipped_windows(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where the window of a fourth difference has no clipped pixel."""
    low, high = 1 / 255, 1 - 1 / 255
    inside = (values > low) & (values < high)
    found = np.lib.stride_tricks.sliding_window_view(inside, (len(_FOURTH),) * 2, axis=(1, 2)).all((-2, -1))
    return np.asarray(found)


def _detail(values: NDArray[np.float64], axes: Sequence[int]) -> NDArray[np.float64]:
    """Fourth differences along axes, scaled so that they keep the standard deviation of white noise."""
    for axis in axes:
        values = _differences(values, axis) / math.sqrt(float(np.square(_FOURTH).sum()))
    return values


def _differences(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    length = values.shape[axis] - len(_FOURTH) + 1
    parts = [weight * np.take(values, range(i, i + length), axis) for i, weight in enumerate(_FOURTH)]
    total: NDArray[np.float64] = np.sum(parts, axis=0)
    return total
