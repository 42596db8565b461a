"""Exposures of a moving camera aligned with the first one, together with the mask and the truth that belong to them."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from ipt.images.files import Picture
from ipt.images.registration import Motion, registered_frames
from ipt.solve.truth import Truth


def registered_exposures(
    frames: tuple[Picture, ...], mask: Tensor | None, truth: Truth | None
) -> tuple[tuple[Picture, ...], Tensor | None, Truth | None, tuple[Motion, ...]]:
    """Align exposures with the first one and crop everything to the area that all of them show.

    Args:
        frames: exposures of one scene, of one size.
        mask: (1, H, W) of the first exposure; None: everything is trusted.
        truth: the clean picture, cropped too where it has the size of the exposures.

    Returns:
        Frames, mask, truth, and the camera's motion for each frame. If the camera has hardly moved, the first three
        are returned unchanged and the motions are empty.

    Raises:
        IptError: the frames have too little area in common.
    """
    pixels, (rows, columns), motions = registered_frames([frame.pixels for frame in frames])
    if all(motion == Motion() for motion in motions):
        return frames, mask, truth, ()
    if truth is not None and truth.picture.shape[1:] == frames[0].shape[1:]:
        truth = replace(truth, picture=truth.picture.with_pixels(truth.picture.pixels[:, rows, columns]))
    aligned = tuple(frame.with_pixels(own) for frame, own in zip(frames, pixels, strict=True))
    return aligned, None if mask is None else mask[:, rows, columns], truth, tuple(motions)
