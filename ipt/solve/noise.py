"""The noise that is assumed of a measurement: given, the operator's own, or estimated from the measurement alone."""

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
"""Standard deviation, of 0..1, that is assumed at least where none is given: docs/method.md, "Constants"."""

# Fourth difference: what it lets through is almost only at the finest scale, where a blurred picture has nothing left.
_FOURTH = np.array([1.0, -4.0, 6.0, -4.0, 1.0])
_NORMAL = 0.6744897501960817
"""Median of |z| for a standard normal z."""
_BINS = 24
"""Of brightness, in each of which the noise is estimated by itself where it depends on it."""
_ENOUGH, _STRIP = 2**20, 64
"""Pixels from which noise is estimated, of pictures of twice as many and more, and rows of each part of them."""


@dataclass(frozen=True)
class AssumedNoise:
    """Noise of variance level^2 + gain * signal.

    Attributes:
        level: standard deviation where there is no signal; of a map the root mean square.
        gain: variance for each unit of the signal.
        levels: a map (1 or C, H, W) in place of `level`.
        least: that is assumed of the level after resizing.
    """

    level: float
    gain: float = 0.0
    levels: Tensor | None = None
    least: float = 0.0

    @property
    def model(self) -> str:
        """What kind it is, in a word or two."""
        return "map" if self.levels is not None else "poisson" if self.gain else "gaussian"

    @property
    def largest(self) -> float:
        """Standard deviation where a picture is white, or noisiest."""
        return float(self.levels.max()) if self.levels is not None else math.sqrt(self.level**2 + self.gain)

    def resized(self, factor: float, side: int) -> AssumedNoise:
        """Of a picture whose resizing changes white noise by a factor; side: of its square, 0 where it was not resized.

        Raises:
            IptError: a map, which would have to be resized with the picture.
        """
        if not side:
            return self
        if self.levels is not None:
            raise IptError("a map of noise levels is not resized with its picture; choose fit=tile, or one noise=")
        return replace(self, level=self.level * factor, gain=self.gain * factor**2)

    def given(self, channels: int, frames: int, device: str) -> float | Tensor:
        """As of `ipt.core.solver.Solver.problem`, for one measurement of so many frames."""
        if self.levels is None:
            return max(self.level, self.least)
        each = self.levels if frames == 1 else self.levels.expand(channels, -1, -1).repeat(frames, 1, 1)
        return each[None].to(device)


def assumed_noise(
    given: Noise, measured: Sequence[Tensor], spec: MeasurementSpec | None = None, linear: bool = False
) -> AssumedNoise:
    """The noise of a measurement.

    Args:
        given: by the user; None: what the operator says, else an estimate.
        measured: exposures, (C, H, W) each.
        spec: what the operator measures; None: pictures.
        linear: whether the light of pictures is solved. Poisson noise is that of the light; other noise is that of the
            values, and in the light, where it grows with it, counts with its mean square.

    Raises:
        IptError: a map of another size, or not above 0.
    """
    gain = math.sqrt(sum(noise_gain(one) ** 2 for one in measured) / len(measured)) if linear else 1.0
    if given is None and spec is not None and (spec.noise is not None or spec.gain):
        return AssumedNoise(spec.noise or 0.0, spec.gain)
    if given is None:
        levels = [estimate_noise(one, spec is None) for one in measured]
        level = gain * math.sqrt(sum(one**2 for one in levels) / len(levels))
        return AssumedNoise(level, least=0.0 if spec else gain * LEAST)
    if isinstance(given, Poisson):
        if given.peak is not None:
            return AssumedNoise(given.read, given.gain)
        pairs = [estimate_poisson(decoded(one) if linear else one) for one in measured]
        read, slope = (sum(each) / len(pairs) for each in zip(*pairs, strict=True))
        return AssumedNoise(math.sqrt(read), slope, least=0.0 if slope else ROUNDING_NOISE)
    if isinstance(given, Tensor):
        if given.ndim != 3 or len(given) not in (1, len(measured[0])) or given.shape[1:] != measured[0].shape[1:]:
            raise IptError(
                f"the map of noise levels is of shape {tuple(given.shape)}, and the measurement "
                f"{tuple(measured[0].shape)}; give a level for each of its entries, in one channel or in all"
            )
        if not bool((given > 0).all()):
            raise IptError("a map of noise levels is above 0 everywhere; what was not measured is left out by mask=")
        return AssumedNoise(gain * float(given.double().square().mean().sqrt()), levels=gain * given)
    return AssumedNoise(gain * float(given))


def estimate_noise(pixels: Tensor, pictures: bool = True) -> float:
    """Standard deviation of the white noise in a picture, at least ROUNDING_NOISE.

    The median of |d| over the picture's diagonal detail d, here the fourth difference along both axes. The median
    passes over edges; what is clipped, near 0 and 1, has no noise left and is passed over too. Fine texture counts as
    noise: on blurred pictures of 64 px and more the estimate is within 15 % from a noise of .005 up (up to a quarter
    too high at .003 where the blur is weak), and for sharp pictures it is an upper bound.

    Args:
        pixels: (C, H, W) in 0..1.
        pictures: whether it is a picture. Of other numbers, in any units, nothing counts as clipped or rounded, and
            lines are taken along their length.

    Raises:
        ValueError: the picture is smaller than 5 pixels.

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
    whole = _whole(values)
    # A picture that is clipped nearly everywhere has little to say; then all of it counts.
    chosen = detail[whole] if whole.sum() >= 64 else detail
    return max(ROUNDING_NOISE, float(np.median(np.abs(chosen))) / _NORMAL)


def _strips(pixels: Tensor) -> list[Tensor]:
    """Evenly spaced strips of a large picture (C, H, W), of `_ENOUGH` pixels together."""
    height, width = pixels.shape[1:]
    rows = min(_STRIP, height)
    starts = np.linspace(0, height - rows, max(1, _ENOUGH // (rows * width))).round().astype(int)
    return [pixels[:, start : start + rows] for start in starts]


def estimate_poisson(pixels: Tensor) -> tuple[float, float]:
    """Variance of the noise of no signal, and for each unit of it, from a picture (C, H, W) alone.

    In each of `_BINS` bins of the local mean, with as many pixels in each, the noise is estimated as by
    `estimate_noise`; a line of least relative squares through them has a height and a slope from 0 up.

    Raises:
        ValueError: the picture is smaller than 32 pixels.

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
    whole = _whole(values)
    if whole.sum() < 64 * _BINS:
        whole[:] = True
    detail = np.abs(_detail(values, (1, 2)))[whole]
    windows = np.lib.stride_tricks.sliding_window_view(values, (len(_FOURTH),) * 2, axis=(1, 2))
    mean = windows.mean((-2, -1))[whole]
    bins = np.array_split(np.argsort(mean), _BINS)
    brightness = np.array([mean[one].mean() for one in bins])
    variance = np.array([(np.median(detail[one]) / _NORMAL) ** 2 for one in bins]).clip(1e-12)
    design = np.stack([np.ones(_BINS), brightness.clip(0)], 1) / variance[:, None]
    (floor, gain), _ = optimize.nnls(design, np.ones(_BINS))
    return float(floor), float(gain)


def _whole(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where no pixel that a fourth difference sees is clipped."""
    low, high = 1 / 255, 1 - 1 / 255
    inside = (values > low) & (values < high)
    found = np.lib.stride_tricks.sliding_window_view(inside, (len(_FOURTH),) * 2, axis=(1, 2)).all((-2, -1))
    return np.asarray(found)


def _detail(values: NDArray[np.float64], axes: Sequence[int]) -> NDArray[np.float64]:
    """Fourth differences along axes, of white noise with its deviation."""
    for axis in axes:
        values = _differences(values, axis) / math.sqrt(float(np.square(_FOURTH).sum()))
    return values


def _differences(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    length = values.shape[axis] - len(_FOURTH) + 1
    parts = [weight * np.take(values, range(i, i + length), axis) for i, weight in enumerate(_FOURTH)]
    total: NDArray[np.float64] = np.sum(parts, axis=0)
    return total
