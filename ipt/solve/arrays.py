"""Arrays of numpy and torch as float64, for metrics."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft
from torch import Tensor

Values = Tensor | ArrayLike
Array = NDArray[np.float64]


def as_array(values: Values) -> Array:
    """As float64 of numpy."""
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    return np.asarray(values, dtype=np.float64)


def as_pair(image: Values, reference: Values) -> tuple[Array, Array]:
    """Two pictures (C, H, W) as float64; ValueError where they differ in shape."""
    first, second = as_array(image), as_array(reference)
    if first.shape != second.shape or first.ndim != 3:
        raise ValueError(
            f"two pictures (channels, height, width) of one shape are compared, not {first.shape} and {second.shape}"
        )
    return first, second


def convolved(first: Array, second: Array) -> Array:
    """The full convolution; scipy.signal has it too, but takes long to load."""
    shape = [a + b - 1 for a, b in zip(first.shape, second.shape, strict=True)]
    convolved: Array = fft.irfft2(fft.rfft2(first, shape) * fft.rfft2(second, shape), shape)
    return convolved
