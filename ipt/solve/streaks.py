"""A search for streaks: points of light in the dark that a blur has drawn to the same shape, which is its kernel's.

Candidates are connected bright areas that are thin and alone (`_candidates`); each is cut out as a kernel
(`ipt.solve.streak`), and the kernels are compared by their correlation.
"""

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
"""Thresholds, in 0..1: an area that is connected above one of them may be a streak."""
_SHORTEST = 7
"""Pixels. Shorter areas are no streaks."""
_DARK, _FAINTEST = 0.2, 0.08
"""The brightest background, and the least contrast of a streak with it, in 0..1."""
_BORDER, _STRAY = 3, 0.02
"""Pixels of the border of a streak's rectangle, and the largest share of bright pixels in it."""
_THIN, _WIDTH = 0.12, 3.5
"""The most that a camera's path fills of the square over its length, or its width in pixels where it is short. Lit
windows and discs fill more."""
_MOST, _STRIP = 40, 2**21
"""The most streaks that are compared, and pixels that are searched at a time, which bounds the memory."""
_ALIKE, _LEAST, _SHARE = 0.65, 3, 0.4
"""Least correlation of two streaks of one kernel, least number of those that agree, and least share of all."""


def found_streak(pixels: Tensor, sides: tuple[int, int]) -> Streak | None:
    """A rectangle around the streak that most others in a picture are like.

    A single light may have any shape, and lit windows and letters repeat. So at least three streaks have to agree, and
    they have to be a large share of all.

    Args:
        pixels: (C, H, W) in 0..1.
        sides: (height, width) of the kernel's window.

    Returns:
        None if too few streaks agree.
    """
    candidates = list(_candidates(pixels, sides))
    if len(candidates) < _LEAST:
        return None
    boxes = [box for _, box, _ in candidates]
    kernels = torch.cat([kernel for *_, kernel in candidates])
    correlations = likeness(kernels, kernels)
    counts = torch.tensor(
        [_count_disjoint([boxes[other] for other in torch.nonzero(row > _ALIKE).flatten()]) for row in correlations]
    )
    if int(counts.max()) < max(_LEAST, _SHARE * _count_disjoint(boxes)):
        return None
    # Among those that most others agree with, the one with the largest sum of correlations.
    best = max(range(len(candidates)), key=lambda place: (int(counts[place]), float(correlations[place].sum())))
    return candidates[best][0]


def _candidates(pixels: Tensor, sides: tuple[int, int]) -> Iterator[tuple[Streak, Streak, Tensor]]:
    """Thin areas that stand alone in the dark.

    Yields:
        A rectangle with background around the area, the area's bounding box, and the area as a kernel.
    """
    _, height, width = pixels.shape
    rows = max(_STRIP // width, 4 * sides[0])
    starts = range(0, max(1, height - 2 * sides[0]), rows)
    for start in starts:
        # Strips overlap by two kernels, so that an area across two of them is whole in the first.
        strip = pixels[:, start : start + rows + 2 * sides[0]]
        for rectangle, box, kernel in islice(_candidates_in_strip(strip, sides), _MOST // len(starts) + 3):
            yield _lowered(rectangle, start), _lowered(box, start), kernel


def _lowered(box: Streak, rows: int) -> Streak:
    left, top, width, height = box
    return left, top + rows, width, height


def _candidates_in_strip(pixels: Tensor, sides: tuple[int, int]) -> Iterator[tuple[Streak, Streak, Tensor]]:
    values = pixels.mean(0).numpy(force=True)
    for level in _LEVELS:
        labels, _ = ndimage.label(values > level, np.ones((3, 3)))
        for rows, columns in ndimage.find_objects(labels):
            height, width = rows.stop - rows.start, columns.stop - columns.start
            longest = max(height, width)
            if longest < _SHORTEST or height > sides[0] or width > sides[1]:
                continue
            margin = 1 + _BORDER + longest // 4
            top, bottom = rows.start - margin, rows.stop + margin
            left, right = columns.start - margin, columns.stop + margin
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
    """Whether a patch (H, W) has a dark, even border around something brighter."""
    inner = np.zeros(patch.shape, bool)
    inner[_BORDER:-_BORDER, _BORDER:-_BORDER] = True
    border = patch[~inner]
    background = float(np.median(border))
    contrast = float(patch.max()) - background
    if background > _DARK or contrast < _FAINTEST:
        return False
    return bool((border > background + 0.2 * contrast).mean() <= _STRAY)


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


def _count_disjoint(boxes: Sequence[Streak]) -> int:
    """The number of rectangles that overlap none of those counted before them."""
    taken: list[Streak] = []
    for one in boxes:
        if not any(_overlap(one, other) for other in taken):
            taken.append(one)
    return len(taken)


def _overlap(one: Streak, other: Streak) -> bool:
    return all(one[axis] < other[axis] + other[axis + 2] and other[axis] < one[axis] + one[axis + 2] for axis in (0, 1))
