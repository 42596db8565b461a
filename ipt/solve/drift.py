"""Drift: the shift between a result of blind deblurring and the truth, and the result with it undone.

A whole-pixel search by cross-correlation, then a refinement below a pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import fft, optimize

from ipt.solve.arrays import Array, Values, as_pair, convolved


@dataclass(frozen=True)
class Registered:
    """A picture registered to a reference by a shift, with a border cropped off all three pictures.

    psnr(image, reference) - psnr(before, reference) is the cost of the drift in dB.

    Attributes:
        image: the picture, shifted.
        before: the picture, not shifted.
        reference: the reference.
        shift: rows and columns in pixels.
    """

    image: Array
    before: Array
    reference: Array
    shift: tuple[float, float]


def registered(image: Values, reference: Values, max_shift: float = 8.0) -> Registered:
    """Register a picture to a reference: blind deblurring cannot tell a shift of the kernel from one of the picture.

    The shift is that of the least squared difference within +-max_shift pixels on each axis. Every whole-pixel shift is
    tried, and the best refined below a pixel by phase ramps on the mirrored picture. (An interpolation by splines would
    smooth the picture, which lowers the error of a noisy one wherever it is shifted to.) A border of max_shift + 2
    pixels is cropped, so that no pixel from beyond the edge is compared.

    Args:
        image: (C, H, W) in 0..1.
        reference: of the same shape.
        max_shift: in pixels.

    Raises:
        ValueError: the pictures differ in shape, or have at most 2 * (max_shift + 2) + 1 pixels on a side.
    """
    moving, fixed = as_pair(image, reference)
    border = math.ceil(max_shift) + 2
    if min(fixed.shape[1:]) <= 2 * border + 1:
        raise ValueError(
            f"a picture of {fixed.shape[2]} x {fixed.shape[1]} px is too small to search {max_shift} px of shift"
        )
    inner = fixed[:, border:-border, border:-border]
    shift = _refined_shift(moving, fixed, _whole_pixel_shift(moving, inner), max_shift, border)
    before = moving[:, border:-border, border:-border]
    after = _shifted(_spectrum(moving), moving.shape, shift)[:, border:-border, border:-border]
    # Not shifting at all is always allowed.
    if np.square(before - inner).mean() <= np.square(after - inner).mean():
        return Registered(before, before, inner, (0.0, 0.0))
    return Registered(after, before, inner, (float(shift[0]), float(shift[1])))


def _whole_pixel_shift(moving: Array, inner: Array) -> Array:
    """The shift (rows, columns) of the window of `moving` that is most like `inner`, the middle of the reference."""
    around = moving[:, 2:-2, 2:-2]
    flipped = inner[:, ::-1, ::-1]
    # ||window - inner||^2 for every window of `around`, up to the constant ||inner||^2.
    rows, columns = (slice(inner.shape[axis] - 1, around.shape[axis]) for axis in (1, 2))
    energy = sum(convolved(channel**2, np.ones(inner.shape[1:]))[rows, columns] for channel in around)
    product = sum(convolved(a, b)[rows, columns] for a, b in zip(around, flipped, strict=True))
    places = np.asarray(energy - 2 * product)
    best = np.unravel_index(np.argmin(places), places.shape)
    reach = places.shape[0] // 2
    return np.array([reach - best[0], reach - best[1]], dtype=float)


def _refined_shift(moving: Array, fixed: Array, start: Array, max_shift: float, border: int) -> Array:
    """The best shift within a pixel of `start`, on the middle 256 x 256 pixels of a larger picture."""
    side = max(256, 4 * border)
    middle = tuple(slice(max(0, (length - side) // 2), (length + side) // 2) for length in moving.shape[1:])
    sample, target = moving[:, *middle], fixed[:, *middle]
    spectrum = _spectrum(sample)

    def difference(shift: Array) -> float:
        off = _shifted(spectrum, sample.shape, shift) - target
        return float(np.square(off[:, border:-border, border:-border]).mean())

    bounds = [(max(-max_shift, value - 1), min(max_shift, value + 1)) for value in start]
    simplex = start + np.array([[0, 0], [0.4, 0], [0, 0.4]]) * np.where(start > 0, -1, 1)
    options = {"xatol": 0.005, "fatol": 1e-10, "maxfev": 80, "initial_simplex": simplex}
    shift: Array = optimize.minimize(difference, start, method="Nelder-Mead", bounds=bounds, options=options).x
    return shift


def _spectrum(values: Array) -> Array:
    """The Fourier transform of (C, H, W), mirrored at its lower and right edges so that it has no jumps there."""
    height, width = values.shape[1:]
    spectrum: Array = fft.rfft2(np.pad(values, ((0, 0), (0, height), (0, width)), mode="symmetric"))
    return spectrum


def _shifted(spectrum: Array, shape: tuple[int, ...], shift: Array) -> Array:
    """The picture (C, H, W) of a `_spectrum`, shifted by (rows, columns)."""
    height, width = shape[1:]
    rows = np.exp(-2j * np.pi * shift[0] * fft.fftfreq(2 * height))[:, None]
    columns = np.exp(-2j * np.pi * shift[1] * fft.rfftfreq(2 * width))
    shifted: Array = fft.irfft2(spectrum * rows * columns, s=(2 * height, 2 * width))
    return shifted[:, :height, :width]
