"""Exposures of a camera that moved, as those of one that held still, with what belongs to them."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from ipt.images.files import Picture
from ipt.images.steadying import Motion, steadied
from ipt.solve.truth import Truth


def held_still(
    frames: tuple[Picture, ...], mask: Tensor | None, truth: Truth | None
) -> tuple[tuple[Picture, ...], Tensor | None, Truth | None, tuple[Motion, ...]]:
    """What all frames show, as the first shows it (`ipt.images.steadying`), and that part of the mask and of the truth.

    The motions are empty, and all as it was, where the camera has hardly moved.

    Raises:
        IptError: the frames show too little in common.
    """
    pixels, (rows, columns), motions = steadied([frame.pixels for frame in frames])
    if not any(one != Motion() for one in motions):
        return frames, mask, truth, ()
    if truth is not None and truth.picture.shape[1:] == frames[0].shape[1:]:
        part = truth.picture.with_pixels(truth.picture.pixels[:, rows, columns])
        truth = replace(truth, picture=part)
    shown = tuple(frame.with_pixels(one) for frame, one in zip(frames, pixels, strict=True))
    return shown, None if mask is None else mask[:, rows, columns], truth, tuple(motions)
