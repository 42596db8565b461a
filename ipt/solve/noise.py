"""How noisy a picture is, from the picture alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ipt.images.files import ROUNDING_NOISE
from ipt.images.light import noise_gain

LEAST = 0.007
"""Standard deviation, of 0..1, that is assumed at least where none is given: docs/method.md, "Constants"."""

# Fourth difference: what it lets through is almost only at the finest scale, where a blurred picture has nothing left.
_FOURTH = np.array([1.0, -4.0, 6.0, -4.0, 1.0])
_NORMAL = 0.6744897501960817
"""Median of |z| for a standard normal z."""


def estimate_noise(pixels: Tensor) -> float:
    """Standard deviation of the white noise in a picture, at least ROUNDING_NOISE.

    The median of |d| over the picture's diagonal detail d, here the fourth difference along both axes. The median
    passes over edges; what is clipped, near 0 and 1, has no noise left and is passed over too. Fine texture counts as
    noise: on blurred pictures of 64 px and more the estimate is within 15 % from a noise of .005 up (up to a quarter
    too high at .003 where the blur is weak), and for sharp pictures it is an upper bound.

    Args:
        pixels: (C, H, W) in 0..1.

    Raises:
        ValueError: the picture is smaller than 5 pixels.

    References:
        Donoho, Johnstone, "Ideal spatial adaptation by wavelet shrinkage" (Biometrika 1994), section 3.
    """
    values = pixels.detach().cpu().double().numpy()
    if min(values.shape[1:]) < len(_FOURTH):
        raise ValueError(f"the noise of a picture of {values.shape[2]} x {values.shape[1]} px cannot be estimated")
    detail = _differences(_differences(values, 1), 2) / float(np.square(_FOURTH).sum())
    low, high = 1 / 255, 1 - 1 / 255
    inside = (values > low) & (values < high)
    whole = np.lib.stride_tricks.sliding_window_view(inside, (len(_FOURTH), len(_FOURTH)), axis=(1, 2)).all((-2, -1))
    # A picture that is clipped nearly everywhere has little to say; then all of it counts.
    chosen = detail[whole] if whole.sum() >= 64 else detail
    return max(ROUNDING_NOISE, float(np.median(np.abs(chosen))) / _NORMAL)


def noise_level(pictures: Sequence[Tensor], given: float | None, linear: bool) -> tuple[float, float]:
    """Standard deviation of the noise in what is solved, and what is assumed of it at least.

    Args:
        pictures: (C, H, W) each, values in 0..1.
        given: That of the pictures' values; None: estimated, and at least LEAST is assumed.
        linear: Whether their light is solved; the noise in it, which grows with it, counts with its mean square.
    """
    each = [estimate_noise(one) if given is None else given for one in pictures]
    gain = math.sqrt(sum(noise_gain(one) ** 2 for one in pictures) / len(pictures)) if linear else 1.0
    level = gain * math.sqrt(sum(one**2 for one in each) / len(each))
    return level, gain * LEAST if given is None else 0.0


def _differences(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    length = values.shape[axis] - len(_FOURTH) + 1
    parts = [weight * np.take(values, range(i, i + length), axis) for i, weight in enumerate(_FOURTH)]
    total: NDArray[np.float64] = np.sum(parts, axis=0)
    return total
