"""Image registration: frames of a moving camera aligned with the first one by rotation, scale and whole-pixel shifts.

The magnitude of a spectrum does not depend on shifts, and in log-polar coordinates rotation and scale are shifts
themselves. Shifts below a pixel and local distortions are left to the tilts of the turbulence operator.

References:
    Reddy, Chatterji, "An FFT-based technique for translation, rotation, and scale-invariant image registration", IEEE
    Transactions on Image Processing 5, 1996. Both registrations are scikit-image's (`phase_cross_correlation`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ipt.core.errors import IptError

_STILL_PIXELS = 8
"""Largest shift in pixels that counts as no motion: turbulence alone shifts whole frames by so much."""
_STILL_EDGE = 5
"""Pixels. A rotation or scale that moves the frame's edges by less counts as none: turbulence can look like that."""
_LEAST_COMMON = 0.5
"""Share of the sides that all frames must show."""
_ALIKE = 0.5
"""Correlation above which two pictures show the same scene."""
_SMALLEST = 48
"""Pixels of a side, below which there is too little to register."""
_ANGLES = 720
"""Rows of the polar spectrum, half a degree each."""


@dataclass(frozen=True)
class Motion:
    """The motion of the camera between the first frame and another one.

    Attributes:
        down: shift of the scene in whole pixels.
        right: shift of the scene in whole pixels.
        degrees: rotation about the frame's middle that aligns the other frame with the first, before the shift.
        scale: factor about the frame's middle, likewise.
    """

    down: int = 0
    right: int = 0
    degrees: float = 0.0
    scale: float = 1.0


def camera_motion(first: Tensor, other: Tensor) -> Motion:
    """The motion of the camera between two pictures (C, H, W) of one size; `Motion()` if none can be found."""
    # scikit-image takes a while to load.
    from skimage.registration import phase_cross_correlation

    fixed, moving = _grey(first), _grey(other)
    degrees, scale = _rotation_and_scale(fixed, moving)
    if max(abs(math.radians(degrees)), abs(scale - 1)) * max(fixed.shape) / 2 < _STILL_EDGE:
        degrees, scale = 0.0, 1.0
    else:
        moving = _grey(_rotated(other, degrees, scale))
    down = right = 0
    # The window draws the estimate towards 0; the second pass, on the part that both show, corrects that.
    for _ in range(2):
        fixed_part, moving_part = _overlap(fixed, moving, down, right)
        shift, _, _ = phase_cross_correlation(_windowed(fixed_part), _windowed(moving_part), normalization=None)
        down, right = down - round(float(shift[0])), right - round(float(shift[1]))
        if min(fixed.shape[0] - abs(down), fixed.shape[1] - abs(right)) < _SMALLEST:
            break
    # An alignment that does not make the pictures more alike is none.
    after = _correlation(*_overlap(fixed, moving, down, right))
    before = _correlation(fixed, _grey(other))
    return Motion(down, right, degrees, scale) if after > max(_ALIKE, before) else Motion()


def registered_frames(frames: Sequence[Tensor]) -> tuple[list[Tensor], tuple[slice, slice], list[Motion]]:
    """Align frames with the first one and crop them to what all of them show.

    Args:
        frames: (C, H, W) each, of one size.

    Returns:
        The aligned frames; the rows and columns of the first frame that they show; the motion of each frame. If the
        camera has hardly moved, the frames are returned unchanged and all motions are `Motion()`.

    Raises:
        IptError: the frames have less than half of their sides in common.
    """
    height, width = frames[0].shape[1:]
    unchanged = list(frames), (slice(0, height), slice(0, width)), [Motion() for _ in frames]
    if min(height, width) < _SMALLEST:
        return unchanged
    motions = [Motion(), *(camera_motion(frames[0], frame) for frame in frames[1:])]
    rotated = any(one.degrees or one.scale != 1 for one in motions)
    if not rotated and max(max(abs(one.down), abs(one.right)) for one in motions) <= _STILL_PIXELS:
        return unchanged
    edge = max(_lost_edge(one, height, width) for one in motions)
    down, right = [one.down for one in motions], [one.right for one in motions]
    top, left = edge + max(0, -min(down)), edge + max(0, -min(right))
    bottom, end = height - edge - max(0, *down), width - edge - max(0, *right)
    if bottom - top < _LEAST_COMMON * height or end - left < _LEAST_COMMON * width:
        raise IptError(
            "the camera moved so far that the frames show less than half of their sides in common; give fewer of them"
        )
    aligned = []
    for frame, one in zip(frames, motions, strict=True):
        upright = _rotated(frame, one.degrees, one.scale) if one.degrees or one.scale != 1 else frame
        aligned.append(upright[:, top + one.down : bottom + one.down, left + one.right : end + one.right])
    return aligned, (slice(top, bottom), slice(left, end)), motions


def _correlation(first: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(first.ravel(), other.ravel())[0, 1])


def _overlap(first: np.ndarray, other: np.ndarray, down: int, right: int) -> tuple[np.ndarray, np.ndarray]:
    """The area that both show if `other` is shifted by (down, right) against `first`."""
    height, width = first.shape
    own = first[_inside(-down, height), _inside(-right, width)]
    return own, other[_inside(down, height), _inside(right, width)]


def _inside(shift: int, length: int) -> slice:
    """The part of a side that lies within itself after a shift by -shift."""
    return slice(max(0, shift), length + min(0, shift))


def _rotation_and_scale(first: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Degrees and factor by which `other` has to be rotated and scaled to lie as `first`."""
    from skimage.registration import phase_cross_correlation

    step = math.log(min(first.shape) // 2) / (min(first.shape) // 2)
    spectra = [_log_polar_spectrum(picture) for picture in (first, other)]
    shift, _, _ = phase_cross_correlation(*spectra, upsample_factor=20, normalization=None)
    return -360 / _ANGLES * float(shift[0]), math.exp(-step * float(shift[1]))


def _log_polar_spectrum(picture: np.ndarray) -> np.ndarray:
    """The magnitude of the spectrum over angles 0 to 180 degrees (rows) and the logarithm of frequency (columns)."""
    from skimage.transform import warp_polar

    # A square, so that frequencies are as far apart along both axes.
    side = min(picture.shape)
    radius = side // 2
    top, left = ((length - side) // 2 for length in picture.shape)
    square = picture[top : top + side, left : left + side]
    spectrum = np.fft.fftshift(np.abs(np.fft.fft2(_windowed(square))))
    # A high pass: low frequencies are much the same in all pictures.
    frequency = np.fft.fftshift(np.fft.fftfreq(side))
    spectrum = np.log1p(spectrum) * np.minimum(1, 8 * np.hypot(frequency[:, None], frequency))
    shape = (_ANGLES, radius)
    polar: np.ndarray = warp_polar(spectrum, (radius, radius), radius=radius, scaling="log", output_shape=shape)
    return polar[: _ANGLES // 2]


def _rotated(frame: Tensor, degrees: float, scale: float) -> Tensor:
    """A frame rotated anticlockwise and scaled about its middle."""
    from skimage.transform import SimilarityTransform, warp

    values = frame.permute(1, 2, 0).double().numpy()
    middle = np.array(values.shape[1::-1]) / 2 - 0.5
    there: Any = SimilarityTransform(translation=-middle)
    there = there + SimilarityTransform(rotation=math.radians(degrees), scale=1 / scale)
    there = there + SimilarityTransform(translation=middle)
    rotated = warp(values, there, order=3, mode="reflect")
    return torch.from_numpy(rotated).permute(2, 0, 1).to(frame)


def _lost_edge(motion: Motion, height: int, width: int) -> int:
    """Pixels on each side that a frame does not show once it is rotated and scaled."""
    turn = math.sin(math.radians(abs(motion.degrees))) * max(height, width) / 2
    return math.ceil(turn + max(0.0, 1 - motion.scale) * max(height, width) / 2)


def _grey(picture: Tensor) -> np.ndarray:
    values: np.ndarray = picture.detach().cpu().double().mean(0).numpy()
    return values


def _windowed(picture: np.ndarray) -> np.ndarray:
    """Without its mean, times a Hann window."""
    window = np.outer(*(np.hanning(side) for side in picture.shape))
    windowed: np.ndarray = (picture - picture.mean()) * window
    return windowed
