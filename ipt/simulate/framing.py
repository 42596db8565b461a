"""The image behind a simulated measurement, and the frame in it.

An operator with an unknown border measures the middle of a larger image. That image is either the picture with its
reflection around it, or, with a cut, the picture itself, of which only the middle is measured.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from ipt.core.abilities import Framed, ability, framed_shape
from ipt.core.errors import IptError
from ipt.core.operator import ParametricOperator
from ipt.images.files import MINIMUM_SIDE

_MOST_CHANNELS = 4
"""Channels of a measurement for each of the image that are tried, such as real and imaginary parts."""


def image_of(clean: Tensor, operator: ParametricOperator, cut: bool) -> Tensor:
    """The image behind the measurement of a picture (C, H, W), with its surroundings, (1, C, H, W)."""
    return _middle(clean, operator)[None] if cut else _surrounded(clean[None], operator)


def frame_of(operator: ParametricOperator, image: Tensor) -> tuple[slice, slice]:
    """Rows and columns of the frame in an image (1, C, H, W)."""
    framed = ability(operator, Framed)
    if framed is None:
        return slice(None), slice(None)
    return framed.frame(tuple(image.shape[1:]))


def inset(windows: Iterable[slice], by: int) -> tuple[slice, slice]:
    """Rows and columns without `by` pixels at each end; IptError where too little is left."""
    rows, columns = (slice(window.start + by, window.stop - by) for window in windows)
    if min(rows.stop - rows.start, columns.stop - columns.start) < MINIMUM_SIDE:
        raise _nothing_left()
    return rows, columns


def _middle(clean: Tensor, operator: ParametricOperator) -> Tensor:
    """The largest part in the middle of a picture (C, H, W) that is the image of some measurement."""
    framed, sides = ability(operator, Framed), clean.shape[1:]
    count, *measured = measured_shape(operator, tuple(clean.shape))
    shape = operator.image_shape((count, *measured))
    assert framed is not None
    for _ in range(min(measured) - 1):
        if all(within <= side for within, side in zip(shape[-2:], sides, strict=True)):
            starts = [(side - within) // 2 for within, side in zip(shape[-2:], sides, strict=True)]
            rows, columns = (slice(first, first + n) for first, n in zip(starts, shape[-2:], strict=True))
            inset(framed.frame(shape), 0)
            return clean[:, rows, columns]
        measured = [side - 1 for side in measured]
        shape = operator.image_shape((count, *measured))
    raise _nothing_left()


def measured_shape(operator: ParametricOperator, clean_shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape (c, h, w) of the measurement of a picture (C, H, W), which may have other channels and sides."""
    channels, *sides = clean_shape
    counts = (channels, *range(1, _MOST_CHANNELS * channels + 1))
    measured = next((count for count in counts if _image_channels(operator, (count, *sides)) == channels), channels)
    usual = framed_shape(operator, operator.image_shape((measured, *sides)))
    return (measured, *(side**2 // frame for side, frame in zip(sides, usual[1:], strict=True)))


def _image_channels(operator: ParametricOperator, measurement_shape: tuple[int, ...]) -> int:
    """Channels of the image behind a measurement (c, h, w); 0 if the operator refuses it."""
    try:
        return operator.image_shape(measurement_shape)[0]
    except ValueError:
        return 0


def _surrounded(clean: Tensor, operator: ParametricOperator) -> Tensor:
    """The picture (1, C, H, W) with its reflection around it, as large as the operator's image."""
    framed = ability(operator, Framed)
    if framed is None:
        return clean
    shape = operator.image_shape(measured_shape(operator, tuple(clean.shape[1:])))
    pads = [(window.start, side - window.stop) for window, side in zip(framed.frame(shape), shape[-2:], strict=True)]
    return torch.from_numpy(np.pad(clean.numpy(), [(0, 0), (0, 0), *pads], mode="reflect"))


def _nothing_left() -> IptError:
    return IptError(
        "the picture is too small to be cut: what the kernel and the rotation reach leaves no frame in it; give a "
        "larger picture, a smaller operator.kernel_size, or drop cut=True"
    )
