"""Fitting pictures to priors: pictures of sizes that a prior does not take, and grey pictures for colour priors.

The choices for a picture of such a size:

error   (default) an error that names the other choices
resize  the whole picture, padded by reflection to a square and resized with antialiasing to the prior's side; the
        result is resized back and the padding cut off
crop    the central square, resized to the prior's side; the result is that square, resized back
tile    the prior denoises overlapping tiles of its size (`ipt.priors.tiled`); nothing is resized
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.core.errors import IptError, plural
from ipt.core.prior import Prior
from ipt.images.choices import FIT_CHOICES
from ipt.priors.tiled import TiledPrior


@dataclass(frozen=True)
class Fitted:
    """A picture fitted to a prior, and how to map a result back.

    Attributes:
        pixels: (C, H, W), to be solved.
        prior: that takes them.
        window: (top, left, height, width) of the part of the original that the result shows.
        side: of the square before resizing, in pixels; 0: not resized.
        padding: (top, left) pixels of that square that lie before the window.
        noise_gain: factor by which resizing changes the standard deviation of white noise.
    """

    pixels: Tensor
    prior: Prior
    window: tuple[int, int, int, int]
    side: int = 0
    padding: tuple[int, int] = (0, 0)
    noise_gain: float = 1.0

    def restore(self, result: Tensor) -> Tensor:
        """Map a result (C, H, W) for `pixels` back to the original's scale; it has the window's size."""
        if not self.side:
            return result
        top, left = self.padding
        return resized(result, self.side)[:, top : top + self.window[2], left : left + self.window[3]]


def fit(pixels: Tensor, prior: Prior, choice: str = "error") -> Fitted:
    """Fit a picture to a prior; a picture that the prior takes is not changed.

    Args:
        pixels: The picture, (C, H, W).
        prior: Of the image.
        choice: One of `FIT_CHOICES`.

    Raises:
        IptError: The prior does not take the picture, and the choice is "error" or no square of it fits.
        ValueError: There is no such choice.
    """
    if choice not in FIT_CHOICES:
        raise ValueError(f"fit is one of {', '.join(FIT_CHOICES)}, not {choice!r}")
    channels, height, width = pixels.shape
    whole = (0, 0, height, width)
    try:
        prior.normalization((channels, height, width))
        return Fitted(pixels, prior, whole)
    except ValueError as error:
        if _side_for(prior, channels, height, width, "resize") is None:
            raise IptError(
                f"the prior takes no picture of {plural(channels, 'channel')} ({error}); choose another prior="
            ) from error
        if choice == "error":
            raise IptError(
                f"the prior does not take a picture of {width} x {height} px ({error}); choose fit=resize (all of it, "
                f"scaled), fit=crop (its central square, scaled) or fit=tile (overlapping tiles, not scaled), or "
                f"prior=natural, which takes any photograph"
            ) from error
    size = _side_for(prior, channels, height, width, choice)
    if size is None:
        advice = "fit=resize enlarges it" if choice == "tile" else "choose another prior"
        raise IptError(
            f"the prior takes no square that a picture of {width} x {height} px in {channels} channels could be cut or "
            f"scaled to; {advice}"
        )
    if choice == "tile":
        return Fitted(pixels, TiledPrior(prior, size), whole)
    if choice == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = pixels[:, top : top + side, left : left + side]
        return Fitted(resized(square, size), prior, (top, left, side, side), side, noise_gain=_noise_gain(side, size))
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    square = _reflected(pixels, top, side - height - top, left, side - width - left)
    return Fitted(resized(square, size), prior, whole, side, (top, left), _noise_gain(side, size))


def accepted_side(prior: Prior, channels: int, at_most: int, largest: int = 2048) -> int | None:
    """The side of a square that the prior takes without padding.

    Returns:
        The largest side from `at_most` down to 8 pixels; else the smallest above it up to `largest`; else None.
    """
    for side in chain(range(at_most, 7, -1), range(at_most + 1, largest + 1)):
        try:
            if prior.normalization((channels, side, side)).shape == (channels, side, side):
                return side
        except ValueError:
            continue
    return None


def _side_for(prior: Prior, channels: int, height: int, width: int, choice: str) -> int | None:
    if choice == "tile":
        # Tiles must fit into the picture.
        return accepted_side(prior, channels, min(height, width), largest=0)
    return accepted_side(prior, channels, max(height, width) if choice == "resize" else min(height, width))


def resized(picture: Tensor, side: int) -> Tensor:
    """Resize a square picture (C, S, S) to (C, side, side): bicubic, antialiased where it shrinks."""
    return F.interpolate(picture[None], size=(side, side), mode="bicubic", antialias=True)[0]


def as_colour(pixels: Tensor, channels: int) -> Tensor:
    """A picture (C, H, W) in `channels`; a grey one becomes equal channels.

    Raises:
        IptError: A picture in colour and another number of channels.
    """
    if len(pixels) == channels:
        return pixels
    if len(pixels) != 1:
        raise IptError(
            f"the picture has {len(pixels)} channels and the prior takes {channels}; give a grey picture, or a prior "
            f"for colour"
        )
    return pixels.expand(channels, *pixels.shape[1:]).contiguous()


def without_equal_channels(pixels: Tensor) -> Tensor:
    """A grey picture (1, H, W), where one is stored as colour: three equal channels are one measurement, not three."""
    return pixels[:1] if len(pixels) > 1 and bool((pixels == pixels[:1]).all()) else pixels


def as_it_came(result: Tensor, channels: int) -> Tensor:
    """Undo `as_colour`: a result (..., C, H, W) in `channels`; a grey result is repeated, a colour one averaged."""
    if result.shape[-3] == 1:
        return result.expand(*result.shape[:-3], channels, *result.shape[-2:])
    return result if result.shape[-3] == channels else result.mean(-3, keepdim=True)


def _reflected(pixels: Tensor, top: int, bottom: int, left: int, right: int) -> Tensor:
    """Pad by reflection, repeatedly if the padding is wider than the picture."""
    padded = np.pad(pixels.cpu().numpy(), ((0, 0), (top, bottom), (left, right)), mode="reflect")
    return torch.from_numpy(padded).to(pixels.device)


def _noise_gain(side: int, size: int) -> float:
    """The standard deviation of white noise after resizing a square over that before, averaged over the picture.

    The resizing is separable: its weights are the response to the unit impulses of an axis.
    """
    impulses = torch.eye(side)[None, None]
    weights = F.interpolate(impulses, size=(side, size), mode="bicubic", antialias=True)[0, 0]
    return float(weights.square().sum(0).mean())
