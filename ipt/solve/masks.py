"""Masks, 1 where a measurement is trusted and 0 where it is not: from a file, and of clipped highlights.

`solved_masks` combines both for the pixels that are solved; `read_mask` and `unclipped` make each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from scipy import ndimage
from torch import Tensor

from ipt.core.abilities import Framed, ability
from ipt.core.errors import IptError, Misuse
from ipt.core.operator import ParametricOperator
from ipt.core.prior import Prior
from ipt.images import files
from ipt.images.fit import Fitted
from ipt.images.light import encoded
from ipt.solve.fitting import fitted_to
from ipt.solve.options import AUTO, NONE

CLIPPED_FROM = 0.985
"""Value in 0..1 from which a pixel counts as clipped: JPEG moves clipped 8-bit values by a few steps."""
_LIGHT = 0.5
"""Mean of the channels, in 0..1. If only some channels are clipped, the pixel is a lamp from this mean on, and a vivid
colour below it."""
_SKY = 14
"""Pixels. In a small picture a clipped area with room for a square of this side is no lamp, but sky or white."""
MOST_CLIPPED = 0.25
"""Largest share of a picture that is masked for clipping by default: a picture with more of it shows white things."""


def solved_masks(
    operator: ParametricOperator,
    prior: Prior,
    each: Sequence[Fitted],
    given: Tensor | None,
    clipped: float | str,
    fit: str,
    linear: bool,
) -> tuple[Tensor | None, Tensor | None]:
    """The masks of the pixels that are solved.

    Args:
        operator: of a single exposure.
        prior: of the image, before it was fitted.
        each: the exposures, fitted to it.
        given: (1, H, W) in 0..1, of the size of the picture before it was fitted; None: all is trusted.
        clipped: as of `unclipped`.
        fit: how the picture was fitted, one of `ipt.images.choices.FIT_CHOICES`.
        linear: whether the pixels are light, and not sRGB values.

    Returns:
        1 where the measurement is trusted, (1, C, H, W) of several exposures or (1, 1, H, W); None: everywhere. And 1
        where it would be trusted but for clipping, likewise; None: nowhere.

    Raises:
        IptError: nothing is left to be trusted.
    """
    framed = ability(operator, Framed)
    reach = 0
    if framed is not None:
        rows, _ = framed.frame(operator.image_shape(tuple(each[0].pixels.shape)))
        reach = rows.start // 2
    masks = [unclipped(encoded(one.pixels) if linear else one.pixels, clipped, reach) for one in each]
    lamps = [1 - mask for mask in masks]
    if given is not None:
        like_pixels = given.expand(len(each[0].pixels), *given.shape[1:])
        trusted = (fitted_to(operator, prior, like_pixels, fit).pixels[:1] > 0.99).float()
        masks = [mask * trusted for mask in masks]
        lamps = [lamp * trusted for lamp in lamps]
    if all(bool(mask.all()) for mask in masks):
        return None, None
    if not all(bool(mask.any()) for mask in masks):
        raise IptError("nothing of the picture is left to be trusted: give another mask=, or clipped=none")
    # A frame's mask holds for all of its channels.
    channels = len(each[0].pixels) if len(each) > 1 else 1
    mask = torch.cat([one.expand(channels, *one.shape[1:]) for one in masks])[None]
    lamp = torch.cat([one.expand(channels, *one.shape[1:]) for one in lamps])[None]
    return mask, lamp if lamp.any() else None


def check_mask(mask: Tensor, size: tuple[int, ...]) -> None:
    """IptError where a mask is not (1, *size) with values in 0..1."""
    if mask.shape != (1, *size) or not bool(((mask >= 0) & (mask <= 1)).all()):
        raise IptError(
            f"a mask is (1, {size[0]}, {size[1]}) for this picture, 1 where it is to be trusted and 0 elsewhere, "
            f"not {tuple(mask.shape)} of {float(mask.min()):g} to {float(mask.max()):g}"
        )


def read_mask(path: Path, size: tuple[int, int]) -> Tensor:
    """Read a mask from a picture file.

    Args:
        path: a picture, light where the measurement is trusted, dark where it is not.
        size: (height, width) of the measurement.

    Returns:
        (1, H, W) of 0 and 1.

    Raises:
        IptError: the file cannot be read, or the mask has another size, or trusts nothing or everything.
    """
    picture = files.read(path, any_range=True)
    return mask_of(picture.in_used_bits(picture.used_bits).opaque(str(path)), size, f"the mask {path}")


def mask_of(picture: Tensor, size: tuple[int, int], name: str = "the mask") -> Tensor:
    """The mask of a picture (C, H, W) in 0..1, with the result and errors of `read_mask`; name: for messages."""
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
    """A mask of a picture's clipped lamps.

    A lamp is brighter than white, so the forward model does not hold where it is clipped, nor where its light is spread
    to. Three rules, of which the second is for "auto" alone:

    - Spots of less than three pixels in width or height do not count.
    - An area with room for a square of `reach` pixels (at least `_SKY`) is white and no lamp, and stays trusted.
    - If only some channels are clipped, as in warm lamps, the spot is masked without its surroundings, since many such
      spots are no lamps.

    Args:
        pixels: (C, H, W) in 0..1.
        level: the value from which a channel is clipped; "none": nothing is masked; "auto": `CLIPPED_FROM`, but if more
            than `MOST_CLIPPED` of the picture would be masked, spots without their surroundings, or nothing.
        reach: pixels around a spot clipped in all channels that are masked with it.

    Returns:
        (1, H, W), 0 where the picture is masked and 1 elsewhere.

    Raises:
        Misuse: a level that is not above 0 and at most 1, nor one of the two words.
    """
    if level == NONE:
        return torch.ones_like(pixels[:1])
    if level != AUTO and (isinstance(level, str) or not 0 < level <= 1):
        raise Misuse(f"clipped= is auto, none, or a value above 0 and at most 1, not {level!r}")
    least = CLIPPED_FROM if level == AUTO else float(level)
    clipped_in_all = pixels.amin(0, keepdim=True) >= least
    clipped_in_some = (pixels.amax(0, keepdim=True) >= least) & (pixels.mean(0, keepdim=True) >= _LIGHT)
    return _trusted(clipped_in_all, level, reach) * _trusted(clipped_in_some, level, 0, reach)


def _trusted(bright: Tensor, level: float | str, reach: int, lamp: int = 0) -> Tensor:
    """The mask of bright spots, (1, H, W), 0 on them and on `reach` pixels around them.

    lamp: pixels that a lamp's light is spread to, where that is more than `reach`; it bounds the size of a lamp.
    """
    spots = _dilated(_eroded(bright, 1), 1)
    if level != AUTO or not spots.any():
        return (~_dilated(spots, reach)).float()
    # The erosion leaves the middles of areas that are too large for a lamp.
    half = max(reach, lamp, _SKY) // 2
    lamps = spots & ~_dilated(_eroded(spots, half), 3 * half)
    for clipped in (_dilated(lamps, reach), lamps):
        if float(clipped.float().mean()) <= MOST_CLIPPED:
            return (~clipped).float()
    return torch.ones(spots.shape)


def _dilated(spots: Tensor, reach: int) -> Tensor:
    """(1, H, W) of bool, dilated by a square of side 2 * reach + 1."""
    # Its cost does not depend on the window, as that of torch's pooling does.
    around = ndimage.maximum_filter(spots[0].numpy(force=True), 2 * reach + 1, mode="constant", cval=False)
    return torch.from_numpy(around)[None]


def _eroded(spots: Tensor, reach: int) -> Tensor:
    """(1, H, W) of bool, eroded by a square of side 2 * reach + 1."""
    return ~_dilated(~spots, reach)
