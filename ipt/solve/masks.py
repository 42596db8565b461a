"""What of a picture was measured: a mask from a file, and clipped highlights."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.core.errors import IptError, Misuse
from ipt.images import files
from ipt.solve.options import AUTO, NONE

CLIPPED_FROM = 0.985
"""Of 0..1: a highlight of 8 bits that JPEG has moved by a few steps is still at its end."""
MOST_CLIPPED = 0.25
"""Share of a picture that clipping may leave out by itself: beyond it, white is what the picture shows."""


def read_mask(path: Path, size: tuple[int, int]) -> Tensor:
    """A mask from a picture file.

    Args:
        path: a picture, light where the measurement is to be trusted, dark where it is not.
        size: (height, width) of the measurement.

    Returns:
        (1, H, W) of 0 and 1.

    Raises:
        IptError: it cannot be read, has another size, or trusts nothing, or everything.
    """
    picture = files.read(path).pixels
    if tuple(picture.shape[1:]) != size:
        raise IptError(
            f"the mask {path} is {picture.shape[2]} x {picture.shape[1]} px and the picture {size[1]} x {size[0]}; "
            f"give a mask of the same size, white where the picture is to be trusted"
        )
    mask = (picture.mean(0, keepdim=True) >= 0.5).float()
    if mask.all():
        raise IptError(f"the mask {path} is light all over, so nothing would be left out; dark is what is not trusted")
    if not mask.any():
        raise IptError(f"the mask {path} is dark all over, so nothing would be measured; white is what is trusted")
    return mask


def unclipped(pixels: Tensor, level: float | str = AUTO, reach: int = 0) -> Tensor:
    """Where a picture is not clipped.

    A lamp is brighter than white, so where it is clipped, and where its light is spread to, the forward model does not
    hold. What counts as clipped is at least three pixels wide and high. Within a wide one (a white sky), further from
    its edge than light is spread, the picture is white whatever the blur, and that is trusted.

    Args:
        pixels: (C, H, W) in 0..1.
        level: from which on all channels are clipped; "none": none is; "auto": `CLIPPED_FROM`, and none is where that
            would leave out more than `MOST_CLIPPED` of the picture.
        reach: pixels around a clipped spot that are left out with it.

    Returns:
        (1, H, W) of 0 and 1.

    Raises:
        Misuse: a level that cannot be.
    """
    if level == NONE:
        return torch.ones_like(pixels[:1])
    if level != AUTO and (isinstance(level, str) or not 0 < level <= 1):
        raise Misuse(f"clipped= is auto, none, or a value above 0 and at most 1, not {level!r}")
    white = (pixels.amin(0, keepdim=True) >= (CLIPPED_FROM if level == AUTO else float(level))).float()
    spots = F.max_pool2d(-F.max_pool2d(-white, 3, 1, 1), 3, 1, 1)
    wide = F.max_pool2d(spots, 2 * reach + 1, 1, reach) if reach else spots
    within = -F.max_pool2d(-spots, 4 * reach + 1, 1, 2 * reach) if reach else torch.zeros_like(spots)
    if level != AUTO:
        return 1 - (wide - within)
    for clipped in (wide - within, spots - within):
        if float(clipped.mean()) <= MOST_CLIPPED:
            return 1 - clipped
    return torch.ones_like(white)
