"""A small light that is blurred to a streak shows the kernel: where a solve may begin."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from ipt.core.errors import IptError
from ipt.operators.blur.centring import recentred
from ipt.operators.blur.steps import peaked

Streak = tuple[int, int, int, int]
"""(x, y, width, height) in pixels, x and y of the upper left corner of a rectangle about it."""
_LEAST = 5
"""Pixels of a rectangle's side; and how many times the background's deviation the streak stands out."""
_FAINTEST = 0.05
"""Of the streak's largest value: what is less is background."""
_GAP = 2
"""Pixels between parts of a streak, at most."""
_ROUNDING = 1 / 255


def kernel_of(patch: Tensor, sides: tuple[int, int]) -> Tensor:
    """The kernel that a rectangle of a picture shows, its largest entry 1, its centroid on the centre pixel.

    Args:
        patch: (C, H, W) in 0..1, with a streak, light or dark, on an even background around it.
        sides: (height, width) of the kernel's window.

    Returns:
        (1, 1, *sides).

    Raises:
        IptError: nothing stands out; the streak is larger than the window, or reaches beyond the rectangle.
    """
    values = patch.mean(0).double().numpy(force=True)
    edge = np.concatenate([values[0], values[-1], values[1:-1, 0], values[1:-1, -1]])
    background = np.median(edge)
    # The median of absolute deviations, of a normal distribution.
    deviation = max(float(np.median(np.abs(edge - background))) / 0.6745, _ROUNDING / np.sqrt(12))
    light = values - background
    light = -light if -light.min() > light.max() else light
    top = float(light.max())
    if top < max(_LEAST * deviation, 2 * _ROUNDING):
        raise IptError(
            "nothing in the streak stands out from what is around it: give streak= as x, y, width, height, a rectangle "
            "about a small light, or dark spot, on an even background"
        )
    seen = light > max(_FAINTEST * top, 3 * deviation)
    near = ndimage.binary_dilation(seen, np.ones((3, 3)), iterations=_GAP) if seen.any() else seen
    labels, _ = ndimage.label(near, np.ones((3, 3)))
    own = seen & (labels == labels[np.unravel_index(light.argmax(), light.shape)])
    rows, columns = (np.flatnonzero(own.any(axis)) for axis in (1, 0))
    height, width = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
    if height >= len(values) or width >= values.shape[1]:
        raise IptError("the streak reaches from edge to edge of its rectangle: give a larger streak=, with background")
    if height > sides[0] or width > sides[1]:
        side = 8 * -(-max(height, width) // 8)
        raise IptError(
            f"the streak of {width} x {height} px is larger than the kernel of {sides[1]} x {sides[0]}: "
            f"set operator.kernel_size={side}, or give a smaller streak="
        )
    found = (light * own)[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    kernel, top_row, left = torch.zeros(1, 1, *sides), (sides[0] - height) // 2, (sides[1] - width) // 2
    kernel[..., top_row : top_row + height, left : left + width] = torch.from_numpy(found).to(kernel)
    return peaked(recentred(kernel))
