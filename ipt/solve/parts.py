"""What a large picture looks like while parts of it are solved: small, with these in their places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

SIDE = 1200
"""Pixels of a preview's longer side, at most."""


class Preview:
    """The measurement (C, H, W), reduced; what was last believed of each part lies over it."""

    def __init__(self, measurement: Tensor):
        _, height, width = measurement.shape
        self.scale = min(1.0, SIDE / max(height, width))
        size = self.along(slice(0, height)).stop, self.along(slice(0, width)).stop
        self.image = F.interpolate(measurement[None].cpu(), size, mode="area")[0]

    def along(self, span: slice) -> slice:
        """Where a span of pixels is along a side; at least one pixel."""
        start = round(span.start * self.scale)
        return slice(start, max(start + 1, round(span.stop * self.scale)))


@dataclass(frozen=True)
class Part:
    """A part of a picture that is solved in several. rows, columns: where it is in the measurement."""

    preview: Preview
    rows: slice
    columns: slice

    def show(self, image: Tensor) -> None:
        """An image (C, h, w) is what is believed of the part."""
        whole, place = self.preview, (..., self.preview.along(self.rows), self.preview.along(self.columns))
        if len(image) != len(whole.image):
            # Of several exposures, or other channels than the picture's.
            whole.image = whole.image.mean(0, keepdim=True).repeat(len(image), 1, 1)
        size = whole.image[place].shape[-2:]
        whole.image[place] = F.interpolate(image[None], size, mode="area")[0].to(whole.image)


def in_whole(parts: Sequence[Part | None], images: Tensor) -> Tensor:
    """What is believed (B, C, h, w) of parts; of pictures' parts, that of all of the first picture, (1, C, H, W)."""
    if parts[0] is None:
        return images
    preview = parts[0].preview
    for part, image in zip(parts, images, strict=True):
        if part is not None and part.preview is preview:
            part.show(image)
    return preview.image[None].clone()
