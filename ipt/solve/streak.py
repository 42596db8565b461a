"""The kernel that a streak shows: a point of light, blurred, is an image of the kernel."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from ipt.core.errors import IptError
from ipt.operators.blur.centring import recentred
from ipt.operators.blur.steps import peaked

Streak = tuple[int, int, int, int]
"""(x, y, width, height) in pixels of a rectangle around a streak; (x, y) is the upper left corner."""
_LEAST_CONTRAST = 5
"""Standard deviations of the background by which the brightest pixel of a streak must stand out."""
_FAINTEST = 0.05
"""Share of the streak's largest value, below which a pixel is background."""
_GAP = 2
"""The most pixels between parts of a streak."""
_ROUNDING = 1 / 255
"""The step of 8-bit values."""


def kernel_of(patch: Tensor, sides: tuple[int, int]) -> Tensor:
    """The kernel that a rectangle of a picture shows, scaled to a largest entry of 1, its centroid on the centre pixel.

    Args:
        patch: (C, H, W) in 0..1, with a light or dark streak on an even background.
        sides: (height, width) of the kernel's window.

    Returns:
        (1, 1, *sides).

    Raises:
        IptError: nothing stands out; the streak is larger than the window, or reaches beyond the rectangle.
    """
    values = patch.mean(0).double().numpy(force=True)
    edge = np.concatenate([values[0], values[-1], values[1:-1, 0], values[1:-1, -1]])
    background = np.median(edge)
    # The median absolute deviation, scaled to the standard deviation of a normal distribution.
    deviation = max(float(np.median(np.abs(edge - background))) / 0.6745, _ROUNDING / np.sqrt(12))
    light = values - background
    light = -light if -light.min() > light.max() else light
    top = float(light.max())
    if top < max(_LEAST_CONTRAST * deviation, 2 * _ROUNDING):
        raise IptError(
            "nothing in the streak stands out from what is around it: give streak= as x, y, width, height, a rectangle "
            "about a small light, or dark spot, on an even background"
        )
    bright = light > max(_FAINTEST * top, 3 * deviation)
    # Parts with small gaps between them are one streak; the one with the brightest pixel is taken.
    joined = ndimage.binary_dilation(bright, np.ones((3, 3)), iterations=_GAP) if bright.any() else bright
    labels, _ = ndimage.label(joined, np.ones((3, 3)))
    streak = bright & (labels == labels[np.unravel_index(light.argmax(), light.shape)])
    rows, columns = (np.flatnonzero(streak.any(axis)) for axis in (1, 0))
    height, width = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
    if height >= len(values) or width >= values.shape[1]:
        raise IptError("the streak reaches from edge to edge of its rectangle: give a larger streak=, with background")
    if height > sides[0] or width > sides[1]:
        side = 8 * -(-max(height, width) // 8)
        raise IptError(
            f"the streak of {width} x {height} px is larger than the kernel of {sides[1]} x {sides[0]}: "
            f"set operator.kernel_size={side}, or give a smaller streak="
        )
    cut = (light * streak)[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    kernel, down, right = torch.zeros(1, 1, *sides), (sides[0] - height) // 2, (sides[1] - width) // 2
    kernel[..., down : down + height, right : right + width] = torch.from_numpy(cut).to(kernel)
    return peaked(recentred(kernel))
