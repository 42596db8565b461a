"""Frames of a camera that moved, brought onto the first of them: by whole pixels, turned and scaled where it turned.

Rotation and scale show in the magnitude of a spectrum, which does not depend on shifts; in logarithmic polar
coordinates they are shifts themselves. What is left, fractions of a pixel and what the air does, is left to the tilts.

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

_STILL = 8
"""Pixels: the air alone shifts whole frames by so much."""
_EDGES = 5
"""Pixels: turned or scaled by less at its edges, a frame is neither; the air alone can seem to do as much."""
_LEAST = 0.5
"""Share of the sides that all frames must show."""
_ALIKE = 0.5
"""Correlation from which on two pictures show the same."""
_SMALLEST = 48
"""Pixels of a side, below which too little is seen to tell."""
_ANGLES = 720
"""Rows of the polar spectrum, half a degree each."""


@dataclass(frozen=True)
class Motion:
    """How a frame lies on the first: turned by degrees and scaled about its middle, then shifted by whole pixels."""

    down: int = 0
    right: int = 0
    degrees: float = 0.0
    scale: float = 1.0


def camera_motion(still: Tensor, frame: Tensor) -> Motion:
    """How the camera has moved from one picture (C, H, W) to another of its size; not at all, if nothing tells that."""
    # It takes a while to load.
    from skimage.registration import phase_cross_correlation

    first, other = _grey(still), _grey(frame)
    degrees, scale = _similarity(first, other)
    if max(abs(math.radians(degrees)), abs(scale - 1)) * max(first.shape) / 2 < _EDGES:
        degrees, scale = 0.0, 1.0
    else:
        other = _grey(_turned(frame, degrees, scale))
    down = right = 0
    # Fading the edges draws a shift towards none; a second time what both show is nearly one above the other.
    for _ in range(2):
        still_part, part = _common(first, other, down, right)
        shift, _, _ = phase_cross_correlation(_faded(still_part), _faded(part), normalization=None)
        down, right = down - round(float(shift[0])), right - round(float(shift[1]))
        if min(first.shape[0] - abs(down), first.shape[1] - abs(right)) < _SMALLEST:
            break
    # Where nothing lies above the same, nothing was found.
    alike, before = _correlation(*_common(first, other, down, right)), _correlation(first, _grey(frame))
    return Motion(down, right, degrees, scale) if alike > max(_ALIKE, before) else Motion()


def _correlation(first: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(first.ravel(), other.ravel())[0, 1])


def _common(first: np.ndarray, other: np.ndarray, down: int, right: int) -> tuple[np.ndarray, np.ndarray]:
    """What both show, where the other is shifted by so much."""
    (height, width), parts = first.shape, []
    for y, x in ((-down, -right), (down, right)):
        parts.append(slice(max(0, y), height + min(0, y)))
        parts.append(slice(max(0, x), width + min(0, x)))
    return first[parts[0], parts[1]], other[parts[2], parts[3]]


def steadied(frames: Sequence[Tensor]) -> tuple[list[Tensor], tuple[slice, slice], list[Motion]]:
    """Frames (C, H, W) of one size of a camera that may have moved.

    Returns:
        What all of them show, as the first shows it; its rows and columns in the first; and the motions. All as it was
        where the camera has hardly moved.

    Raises:
        IptError: they show too little in common.
    """
    height, width = frames[0].shape[1:]
    whole = (slice(0, height), slice(0, width))
    if min(height, width) < _SMALLEST:
        return list(frames), whole, [Motion() for _ in frames]
    motions = [Motion(), *(camera_motion(frames[0], frame) for frame in frames[1:])]
    turned = any(one.degrees or one.scale != 1 for one in motions)
    if not turned and max(max(abs(one.down), abs(one.right)) for one in motions) <= _STILL:
        return list(frames), whole, [Motion() for _ in frames]
    edge = max(_lost(one, height, width) for one in motions)
    down, right = [one.down for one in motions], [one.right for one in motions]
    top, left = edge + max(0, -min(down)), edge + max(0, -min(right))
    bottom, end = height - edge - max(0, *down), width - edge - max(0, *right)
    if bottom - top < _LEAST * height or end - left < _LEAST * width:
        raise IptError(
            "the camera moved so far that the frames show less than half of their sides in common; give fewer of them"
        )
    shown = []
    for frame, one in zip(frames, motions, strict=True):
        straight = _turned(frame, one.degrees, one.scale) if one.degrees or one.scale != 1 else frame
        shown.append(straight[:, top + one.down : bottom + one.down, left + one.right : end + one.right])
    return shown, (slice(top, bottom), slice(left, end)), motions


def _similarity(first: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Degrees and factor by which `other` has to be turned and scaled to lie as `first`."""
    from skimage.registration import phase_cross_correlation
    from skimage.transform import warp_polar

    side = min(first.shape)
    radius, polar = side // 2, []
    for whole in (first, other):
        # A square, so that frequencies are as far apart along both axes.
        top, left = ((length - side) // 2 for length in whole.shape)
        picture = whole[top : top + side, left : left + side]
        spectrum = np.fft.fftshift(np.abs(np.fft.fft2(_faded(picture))))
        # What is high counts: all pictures have what is low.
        frequency = np.fft.fftshift(np.fft.fftfreq(side))
        spectrum = np.log1p(spectrum) * np.minimum(1, 8 * np.hypot(frequency[:, None], frequency))
        shape = (_ANGLES, radius)
        around = warp_polar(spectrum, (radius, radius), radius=radius, scaling="log", output_shape=shape)
        polar.append(around[: _ANGLES // 2])
    shift, _, _ = phase_cross_correlation(*polar, upsample_factor=20, normalization=None)
    step = math.log(radius) / radius
    return -360 / _ANGLES * float(shift[0]), math.exp(-step * float(shift[1]))


def _turned(frame: Tensor, degrees: float, scale: float) -> Tensor:
    """A frame turned against the clock and scaled about its middle."""
    from skimage.transform import SimilarityTransform, warp

    values = frame.permute(1, 2, 0).double().numpy()
    middle = np.array(values.shape[1::-1]) / 2 - 0.5
    there: Any = SimilarityTransform(translation=-middle)
    there = there + SimilarityTransform(rotation=math.radians(degrees), scale=1 / scale)
    there = there + SimilarityTransform(translation=middle)
    turned = warp(values, there, order=3, mode="reflect")
    return torch.from_numpy(turned).permute(2, 0, 1).to(frame)


def _lost(motion: Motion, height: int, width: int) -> int:
    """Pixels on each side of which a frame, turned and scaled, may show nothing."""
    turn = math.sin(math.radians(abs(motion.degrees))) * max(height, width) / 2
    return math.ceil(turn + max(0.0, 1 - motion.scale) * max(height, width) / 2)


def _grey(picture: Tensor) -> np.ndarray:
    values: np.ndarray = picture.detach().cpu().double().mean(0).numpy()
    return values


def _faded(picture: np.ndarray) -> np.ndarray:
    """Without its mean, and nothing at its edges."""
    window = np.outer(*(np.hanning(side) for side in picture.shape))
    faded: np.ndarray = (picture - picture.mean()) * window
    return faded
