"""How noisy a picture is, from the picture alone."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from ipt.images.files import ROUNDING_NOISE

LEAST = 0.007
"""What is assumed at least where no noise level is given. What a camera does besides the operator (a kernel that
differs from place to place, a tone curve, sharpening) is no noise, but taken for detail it comes to ringing and grain;
and JPEG compression removes the fine grain that is measured here and puts coarse errors in its place: blurred
photographs saved at qualities from 60 to 95 were wrong by .009 to .017, and showed a grain of .001 to .004. Six real
photographs with estimates of .001 to .006, looked at, came to less grain and ringing with this. What it costs where
there is nothing besides is little: 12 photographs of 128x128 pixels with a noise of .002 came to 30.3 dB and not 30.1
(31.9 and not 32.7 with the free shift taken out), with .004 to 30.1 as without (31.8 and not 32.2), and with .002 and
the true kernel to 33.9 and not 33.0 (34.7 and not 35.1; `benchmarks/photographs.py --noise --told`)."""

# Fourth difference: what it lets through is almost only at the finest scale, where a blurred picture has nothing left.
_FOURTH = np.array([1.0, -4.0, 6.0, -4.0, 1.0])
_NORMAL = 0.6744897501960817
"""Median of |z| for a standard normal z."""


def estimate_noise(pixels: Tensor) -> float:
    """Standard deviation of the white noise in a picture (C, H, W), 0..1, at least ROUNDING_NOISE.

    The median of |d| over the picture's diagonal detail d, as Donoho and Johnstone do with wavelets ("Ideal spatial
    adaptation by wavelet shrinkage", 1994); here d is the fourth difference along both axes. The median passes over
    edges; what is clipped, near 0 and 1, has no noise left and is passed over too. Fine texture counts as noise: on
    blurred pictures of 64 px and more the estimate is within 15 % from a noise of .005 up (up to a quarter too high at
    .003 where the blur is weak), and for sharp pictures it is an upper bound.
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


def _differences(values: np.ndarray, axis: int) -> np.ndarray:
    length = values.shape[axis] - len(_FOURTH) + 1
    parts = [weight * np.take(values, range(i, i + length), axis) for i, weight in enumerate(_FOURTH)]
    return np.sum(parts, axis=0)
