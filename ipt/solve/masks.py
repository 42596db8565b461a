"""What of a picture was measured: a mask from a file, and clipped highlights."""

from __future__ import annotations

from pathlib import Path

import torch
from scipy import ndimage
from torch import Tensor

from ipt.core.errors import IptError, Misuse
from ipt.images import files
from ipt.solve.options import AUTO, NONE

CLIPPED_FROM = 0.985
"""Of 0..1: a highlight of 8 bits that JPEG has moved by a few steps is still at its end."""
_LIGHT = 0.5
"""Mean of the channels, of 0..1, from which on what is clipped in one of them is a light; below, a vivid colour."""
_SKY = 14
"""Pixels: no lamp of a small picture is so wide and high."""
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
    picture = files.read(path, any_range=True)
    return mask_of(picture.in_used_bits(picture.used_bits).opaque(str(path)), size, f"the mask {path}")


def mask_of(picture: Tensor, size: tuple[int, int], name: str = "the mask") -> Tensor:
    """A mask from a picture (C, H, W) in 0..1, as `read_mask` has it; `name` is for messages."""
    if tuple(picture.shape[1:]) != size:
        raise IptError(
            f"{name} is {picture.shape[2]} x {picture.shape[1]} px and the picture {size[1]} x {size[0]}; "
            f"give a mask of the same size, white where the picture is to be trusted"
        )
    mask = (picture.mean(0, keepdim=True) >= 0.5).float()
    if mask.all():
        raise IptError(f"{name} is light all over, so nothing would be left out; dark is what is not trusted")
    if not mask.any():
        raise IptError(f"{name} is dark all over, so nothing would be measured; white is what is trusted")
    return mask


def unclipped(pixels: Tensor, level: float | str = AUTO, reach: int = 0) -> Tensor:
    """Where a picture is not clipped.

    A lamp is brighter than white, so where it is clipped, and where its light is spread to, the forward model does not
    hold. What counts as clipped is at least three pixels wide and high. What has room for a square of `reach` pixels,
    or of `_SKY` where that is more, is no lamp but white, and trusted, unless a level is given. Of a warm lamp some
    channels alone are clipped: it is left out by itself, without what is around it, since much that is no lamp is so.

    Args:
        pixels: (C, H, W) in 0..1.
        level: from which on a channel is clipped; "none": none is; "auto": `CLIPPED_FROM`, and none is where that
            would leave out more than `MOST_CLIPPED` of the picture.
        reach: pixels around a spot clipped in all channels that are left out with it.

    Returns:
        (1, H, W) of 0 and 1.

    Raises:
        Misuse: a level that cannot be.
    """
    if level == NONE:
        return torch.ones_like(pixels[:1])
    if level != AUTO and (isinstance(level, str) or not 0 < level <= 1):
        raise Misuse(f"clipped= is auto, none, or a value above 0 and at most 1, not {level!r}")
    least = CLIPPED_FROM if level == AUTO else float(level)
    brightest = pixels.amax(0, keepdim=True) >= least
    light = brightest & (pixels.mean(0, keepdim=True) >= _LIGHT)
    return _trusted(pixels.amin(0, keepdim=True) >= least, level, reach) * _trusted(light, level, 0, reach)


def _trusted(bright: Tensor, level: float | str, reach: int, lamp: int = 0) -> Tensor:
    """1 where nothing is bright, (1, H, W); lamp: pixels that a lamp's light is spread to, `reach` at least."""
    spots = _widened(_narrowed(bright, 1), 1)
    if level != AUTO or not spots.any():
        return (~_widened(spots, reach)).float()
    # The middles of such squares, and what is clipped about them.
    half = max(reach, lamp, _SKY) // 2
    lamps = spots & ~_widened(_narrowed(spots, half), 3 * half)
    for clipped in (_widened(lamps, reach), lamps):
        if float(clipped.float().mean()) <= MOST_CLIPPED:
            return (~clipped).float()
    return torch.ones(spots.shape)


def _widened(spots: Tensor, reach: int) -> Tensor:
    """With what lies so many pixels around, (1, H, W) of bool."""
    # Of a window of any size at the same cost, which torch's pooling is not.
    around = ndimage.maximum_filter(spots[0].numpy(force=True), 2 * reach + 1, mode="constant", cval=False)
    return torch.from_numpy(around)[None]


def _narrowed(spots: Tensor, reach: int) -> Tensor:
    """Without what has something else so many pixels around."""
    return ~_widened(~spots, reach)
