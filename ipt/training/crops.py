"""Random crops of photographs of any size, cut on the device of the training for every batch.

The photographs are kept whole in the memory of the device, once per reduction, so that a batch is a single indexing
operation: 500 photographs of a megapixel take 3 GB.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.core.errors import IptError
from ipt.training import pictures
from ipt.training.sources import Source

REDUCTIONS = (1.0, 0.84, 0.71, 0.59, 0.5)
"""Factors on the sides of photographs, from 1 to 1/2 in equal steps of the logarithm."""
GREY = 1 / 12
"""Share of the crops that are made grey."""
_VALIDATED = 500
"""The most crops for validation, cut from the photographs that are held out."""


class CropSource(Source):
    """Square crops at random places of photographs, reduced at random by 1 to 1/2, rotated by quarters and mirrored.

    A photograph is chosen with a probability in proportion to the root of its area. One crop in twelve of a colour
    photograph is made grey.

    Args:
        photographs: uint8 (H, W, C) each, all with the same C (1 or 3), none smaller than `side`.
        side: Of a crop, in pixels.
        held_out: Number of photographs, the first ones, for validation.
        name: For the model card.
        device: Where the photographs are kept and crops are cut.

    Raises:
        IptError: A photograph is too small; some are grey and some in colour; none is left for training or validation.
    """

    def __init__(
        self,
        photographs: Sequence[np.ndarray],
        side: int = 64,
        held_out: int = 20,
        name: str = "photographs",
        device: str | torch.device = "cpu",
    ):
        if not 1 <= held_out < len(photographs):
            raise IptError(
                f"{len(photographs)} photographs, {held_out} of them held out: at least one is for validation and one "
                f"to train on. Give more photographs, or hold out fewer (held_out=)."
            )
        small = [place for place, one in enumerate(photographs) if min(one.shape[:2]) < side]
        if small:
            raise IptError(
                f"photograph {small[0]} is smaller than {side} x {side} px: leave it out, or take smaller crops"
            )
        if len({one.shape[2] for one in photographs}) > 1:
            raise IptError("some photographs are grey and some in colour: convert them, or choose channels= for all")
        self.side, self.held_out, self.name, self.count = side, held_out, name, len(photographs)
        self.channels, self.sides = photographs[0].shape[2], ((side, side),)
        self.device = torch.device(device)
        self._digest = _digest(photographs)
        self._held_out = _PixelPool(photographs[:held_out], side, (1.0,), self.device)
        self._trained = _PixelPool(photographs[held_out:], side, REDUCTIONS, self.device)

    def __str__(self) -> str:
        return (
            f"Crops of {self.side} x {self.side} px of {self.count:,} photographs ({self.name}) in {self.channels} "
            f"channels, reduced by 1 to 1/2, turned and mirrored at random, one in 12 grey; the first "
            f"{self.held_out:,} photographs held out for validation"
        )

    def batch(self, seed: int, number: int, count: int) -> Tensor:
        numbers = np.random.default_rng([seed, number])
        crops = self._trained.crops(numbers, count, self.side)
        if self.channels == 3:
            grey = torch.from_numpy(numbers.random(count) < GREY).to(self.device)[:, None, None, None]
            luminance = (crops * crops.new_tensor(pictures.LUMINANCE)[:, None, None]).sum(1, keepdim=True)
            crops = torch.where(grey, luminance.round(), crops)
        return crops / 127.5 - 1

    def validation(self, count: int) -> list[Tensor]:
        numbers = np.random.default_rng(0)
        return [self._held_out.crops(numbers, min(count, _VALIDATED), self.side, turned=False) / 127.5 - 1]

    def identity(self) -> dict[str, Any]:
        own = {"pictures": [self.count, self.side, self.side, self.channels], "digest": self._digest}
        return {**own, "held_out": self.held_out, "crops": True}


def load(folder: str | Path, channels: int | None = None) -> list[np.ndarray]:
    """Read the photographs of a folder and its subfolders, in the order of their names.

    Args:
        folder: Of pictures.
        channels: 1 or 3; None: those of the first photograph.

    Returns:
        uint8 (H, W, C) each.

    Raises:
        IptError: There is no photograph, or one cannot be read.
    """
    place = Path(folder).expanduser()
    if not place.is_dir():
        raise IptError(f"{place} {'is no folder' if place.exists() else 'does not exist'}: give one with photographs")
    files = pictures.listed(place)
    with ThreadPoolExecutor(pictures.THREADS, "ipt-photographs") as pool:
        found: Iterable[Tensor] = pool.map(lambda file: pictures.file_reader(file)(), files)
        planes = list(found)
    wanted = channels or len(planes[0])
    return [
        (255 * pictures.in_channels(one, wanted)).round().to(torch.uint8).permute(1, 2, 0).numpy() for one in planes
    ]


class _PixelPool:
    """Photographs at several reductions, end to end in one tensor.

    Attributes:
        pixels: (N, C), row after row of every reduced photograph.
        heights: of each reduced photograph.
        widths: of each reduced photograph.
        starts: index of the first pixel of each.
        odds: cumulative probabilities of choosing each.
    """

    def __init__(self, photographs: Sequence[np.ndarray], side: int, reductions: Sequence[float], device: torch.device):
        parts, shapes, odds = [], [], []
        for one in photographs:
            whole = torch.from_numpy(np.ascontiguousarray(one)).to(device)
            for factor in reductions:
                height, width = (round(factor * length) for length in one.shape[:2])
                if factor < 1 and min(height, width) < side:
                    continue
                reduced = whole if factor == 1 else _reduced(whole, height, width)
                parts.append(reduced.reshape(-1, one.shape[2]))
                shapes.append((height, width))
                odds.append((height * width) ** 0.5)
        self.pixels = torch.cat(parts)
        self.heights, self.widths = np.array(shapes, dtype=np.int64).T
        self.starts = np.concatenate([[0], np.cumsum(self.heights * self.widths)[:-1]])
        self.odds = np.cumsum(odds) / np.sum(odds)

    def crops(self, numbers: np.random.Generator, count: int, side: int, turned: bool = True) -> Tensor:
        """Random crops, (count, C, side, side), floats in 0..255.

        Args:
            numbers: Random numbers.
            count: Of crops.
            side: Of a crop, in pixels.
            turned: Whether crops are rotated and mirrored at random.
        """
        chosen = np.searchsorted(self.odds, numbers.random(count), side="right").clip(max=len(self.odds) - 1)
        height, width = self.heights[chosen], self.widths[chosen]
        top = (numbers.random(count) * (height - side + 1)).astype(np.int64)
        left = (numbers.random(count) * (width - side + 1)).astype(np.int64)
        # The steps in the flat tensor to a crop's next row and next column. A mirrored crop starts in another corner
        # with steps of the other sign; a transposed one has its two steps exchanged.
        down, right, start = width.copy(), np.ones_like(width), self.starts[chosen] + top * width + left
        if turned:
            for step in (down, right):
                flipped = numbers.random(count) < 0.5
                start = np.where(flipped, start + (side - 1) * step, start)
                step[:] = np.where(flipped, -step, step)
            swapped = numbers.random(count) < 0.5
            down, right = np.where(swapped, right, down), np.where(swapped, down, right)
        device = self.pixels.device
        start, down, right = (torch.from_numpy(one).to(device)[:, None, None] for one in (start, down, right))
        along = torch.arange(side, device=device)
        places = start + along[:, None] * down + along * right
        return self.pixels[places].permute(0, 3, 1, 2).float()


def _reduced(pixels: Tensor, height: int, width: int) -> Tensor:
    planes = pixels.permute(2, 0, 1)[None].float()
    small = F.interpolate(planes, (height, width), mode="bicubic", antialias=True, align_corners=False)
    return small[0].round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous()


def _digest(photographs: Sequence[np.ndarray]) -> str:
    """A digest of all shapes and the first row of each photograph: hashing all pixels would take long."""
    digest = hashlib.sha256()
    for one in photographs:
        digest.update(str(one.shape).encode() + one[0].tobytes())
    return digest.hexdigest()[:16]
