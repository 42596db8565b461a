"""Streaks that are found: small lights in the dark which a blur has drawn alike show its kernel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from ipt.core.errors import IptError
from ipt.solve.streak import Streak, kernel_of

_LEVELS = (0.06, 0.1, 0.15, 0.22, 0.3, 0.45, 0.6, 0.8)
"""Of 0..1: what is connected above one of them, and alone in the dark, may be a streak."""
_SHORTEST = 7
"""Pixels: what is no longer is no blur worth a streak."""
_DARK, _FAINTEST = 0.2, 0.08
"""Of 0..1: the background at most, and what a streak is brighter at least."""
_AROUND = 3
"""Pixels at the edge of a streak's rectangle, of which hardly any (`_STRAY`) may be bright."""
_STRAY = 0.02
_THIN, _WIDTH = 0.12, 3.5
"""Share of the square over its length that a camera's path fills at most, or its width in pixels where it is short: lit
windows and discs fill more."""
_MOST, _STRIP = 40, 2**21
"""Streaks that are compared, and pixels that are searched at a time: so little memory is held of a large picture."""
_ALIKE, _LEAST, _SHARE = 0.65, 3, 0.4
"""Correlation of streaks of one kernel; how many there are at least, and which share of all."""


def found_streak(pixels: Tensor, sides: tuple[int, int]) -> Streak | None:
    """A rectangle about the streak to which most others in a picture are alike; None where they are not.

    A single light may have any shape, and windows and letters repeat. So at least three streaks have to agree, and they
    have to be many of those that there are.

    Args:
        pixels: (C, H, W) in 0..1.
        sides: (height, width) of the kernel's window.
    """
    found = list(_candidates(pixels, sides))
    if len(found) < _LEAST:
        return None
    boxes = [box for _, box, _ in found]
    each = torch.cat([kernel for *_, kernel in found])
    correlations = likeness(each, each)
    alike = [[boxes[other] for other in torch.nonzero(row > _ALIKE).flatten()] for row in correlations]
    counts = torch.tensor([_apart(near) for near in alike])
    if int(counts.max()) < max(_LEAST, _SHARE * _apart(boxes)):
        return None
    # Of those with the most, the one that all are most like.
    best = max(range(len(found)), key=lambda place: (int(counts[place]), float(correlations[place].sum())))
    return found[best][0]


def _candidates(pixels: Tensor, sides: tuple[int, int]) -> Iterator[tuple[Streak, Streak, Tensor]]:
    """What stands alone in the dark and is thin: a rectangle about it, its own, and what it would be as a kernel."""
    _, height, width = pixels.shape
    rows = max(_STRIP // width, 4 * sides[0])
    starts = range(0, max(1, height - 2 * sides[0]), rows)
    for start in starts:
        # What lies across two strips is whole in the first.
        strip = pixels[:, start : start + rows + 2 * sides[0]]
        for (left, top, *around), (x, y, *own), kernel in islice(_in_strip(strip, sides), _MOST // len(starts) + 3):
            yield (left, start + top, around[0], around[1]), (x, start + y, own[0], own[1]), kernel


def _in_strip(pixels: Tensor, sides: tuple[int, int]) -> Iterator[tuple[Streak, Streak, Tensor]]:
    values = pixels.mean(0).numpy(force=True)
    for level in _LEVELS:
        labels, _ = ndimage.label(values > level, np.ones((3, 3)))
        for rows, columns in ndimage.find_objects(labels):
            height, width = rows.stop - rows.start, columns.stop - columns.start
            longest = max(height, width)
            if longest < _SHORTEST or height > sides[0] or width > sides[1]:
                continue
            margin = 1 + _AROUND + longest // 4
            top, left, bottom, right = rows.start - margin, columns.start - margin, rows.stop + margin, 0
            right = columns.stop + margin
            if min(top, left) < 0 or bottom > values.shape[0] or right > values.shape[1]:
                continue
            if not _stands_alone(values[top:bottom, left:right]):
                continue
            try:
                kernel = kernel_of(pixels[:, top:bottom, left:right], sides)
            except IptError:
                continue
            if _is_thin(kernel):
                yield (left, top, right - left, bottom - top), (columns.start, rows.start, width, height), kernel


def _stands_alone(patch: NDArray[np.floating]) -> bool:
    inner = np.zeros(patch.shape, bool)
    inner[_AROUND:-_AROUND, _AROUND:-_AROUND] = True
    edge = patch[~inner]
    background = float(np.median(edge))
    light = float(patch.max()) - background
    return background <= _DARK and light >= _FAINTEST and bool((edge > background + 0.2 * light).mean() <= _STRAY)


def _is_thin(kernel: Tensor) -> bool:
    rows, columns = torch.nonzero(kernel[0, 0] > 0.25, as_tuple=True)
    length = torch.hypot(*(1.0 + one.max() - one.min() for one in (rows, columns)))
    return bool(length >= _SHORTEST) and len(rows) <= float(length) * max(_THIN * float(length), _WIDTH)


def likeness(kernels: Tensor, others: Tensor) -> Tensor:
    """The largest correlation of kernels (A, 1, h, w) with others (B, 1, h, w) over all shifts, 0..1, (A, B)."""
    size = [2 * side for side in kernels.shape[-2:]]
    unit = (each[:, 0] / each.square().sum((-3, -2, -1)).sqrt()[:, None, None] for each in (kernels, others))
    rows, columns = (torch.fft.rfft2(each, s=size) for each in unit)
    return torch.stack([torch.fft.irfft2(one.conj() * columns, s=size).amax((-2, -1)) for one in rows])


def _apart(boxes: Sequence[Streak]) -> int:
    """How many of the rectangles do not overlap, taken one after the other."""
    taken: list[Streak] = []
    for one in boxes:
        if not any(_overlap(one, other) for other in taken):
            taken.append(one)
    return len(taken)


def _overlap(one: Streak, other: Streak) -> bool:
    return all(one[axis] < other[axis] + other[axis + 2] and other[axis] < one[axis] + one[axis + 2] for axis in (0, 1))
