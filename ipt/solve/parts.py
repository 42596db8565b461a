"""The preview of a large picture that is solved in parts: the reduced measurement with the estimates pasted in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

SIDE = 1200
"""Pixels of a preview's longer side, at most."""


class Preview:
    """The measurement (C, H, W), reduced to `SIDE` pixels, over which the latest estimate of each part is pasted."""

    def __init__(self, measurement: Tensor):
        _, height, width = measurement.shape
        self.scale = min(1.0, SIDE / max(height, width))
        size = self.along(slice(0, height)).stop, self.along(slice(0, width)).stop
        self.image = F.interpolate(measurement[None].cpu(), size, mode="area")[0]

    def along(self, span: slice) -> slice:
        """The span of the preview's pixels for a span of the measurement's, at least one pixel long."""
        start = round(span.start * self.scale)
        return slice(start, max(start + 1, round(span.stop * self.scale)))


@dataclass(frozen=True)
class Part:
    """A part of a picture.

    Attributes:
        preview: of the whole picture; shared by its parts.
        rows: of the part in the measurement.
        columns: of the part in the measurement.
    """

    preview: Preview
    rows: slice
    columns: slice

    def show(self, image: Tensor) -> None:
        """Paste an estimate (C, h, w) of the part into the preview."""
        preview, place = self.preview, (..., self.preview.along(self.rows), self.preview.along(self.columns))
        if len(image) != len(preview.image):
            # The measurement has the channels of several exposures, or others than the image.
            preview.image = preview.image.mean(0, keepdim=True).repeat(len(image), 1, 1)
        size = preview.image[place].shape[-2:]
        preview.image[place] = F.interpolate(image[None], size, mode="area")[0].to(preview.image)


def in_whole(parts: Sequence[Part | None], images: Tensor) -> Tensor:
    """Estimates as they are shown.

    Args:
        parts: of each image; None: it is a whole picture.
        images: the estimates, (B, C, h, w).

    Returns:
        The images of whole pictures, (B, C, h, w); of parts, the preview of the first one's picture, (1, C, H, W).
    """
    if parts[0] is None:
        return images
    preview = parts[0].preview
    for part, image in zip(parts, images, strict=True):
        if part is not None and part.preview is preview:
            part.show(image)
    return preview.image[None].clone()
