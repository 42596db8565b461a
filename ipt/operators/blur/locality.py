"""Whether one kernel holds for the whole picture, from what it leaves unexplained."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.core.abilities import Assessment
from ipt.core.errors import IptError
from ipt.core.observation import Observation
from ipt.linalg.spectra import SPECTRUM, frequencies

DIFFERS = 0.13
"""From here on kernels differ: docs/verdict.md."""
_GOES_ON = 1.3
"""Times what differs by chance, from which on a solve goes on with several kernels: docs/method.md, Shake."""
_APART = 128
"""Pixels from one of these kernels to the next: docs/method.md, Shake."""
MOST_TILES = 8
"""Along each side of the frame."""
LEAST = 160
"""Pixels: in the quarters of a frame with a smaller side an error of the kernel looks like a kernel that differs."""
_PARTS = 2
"""Of each side of the frame."""
_LAGS = 10
"""Pixels."""


def locality(observation: Observation, residual: Tensor, image: Tensor, frame: tuple[slice, slice]) -> Tensor:
    """The share of the residual that kernels which differ between the quarters of the frame would explain, (B,).

    In each quarter the residual's luminance is correlated with the image's, whitened: that is what its kernel lacks.
    What these have in common does not count, nor what they have by chance; about 0 where one kernel holds.

    Args:
        observation: what was measured, (B, C, P, Q).
        residual: measurement - prediction, (B, C, P, Q).
        image: what was found, (B, C, H, W) in 0..1.
        frame: rows and columns of the image that were measured.
    """
    mask = torch.ones_like(residual[:, :1])
    if observation.mask is not None:
        mask = (observation.mask > 0).all(1, keepdim=True).to(residual)
    left, size = mask * residual.mean(1, keepdim=True), (image.shape[-2], image.shape[-1])
    level = (left.square().sum((1, 2, 3)) / mask.sum((1, 2, 3))).sqrt().clamp(min=1e-9)
    whitened = frequencies(size, image) ** (SPECTRUM[1] / 2) * torch.fft.rfft2(image.mean(1, keepdim=True))
    power = torch.fft.irfft2(whitened, s=size)[(..., *frame)].square() * mask
    top, first, (height, width) = frame[0].start or 0, frame[1].start or 0, left.shape[-2:]
    seen = []
    for row in range(_PARTS):
        for column in range(_PARTS):
            rows = slice(row * height // _PARTS, (row + 1) * height // _PARTS)
            columns = slice(column * width // _PARTS, (column + 1) * width // _PARTS)
            before = (first + columns.start, top + rows.start)
            part = left[..., rows, columns]
            after = (size[1] - before[0] - part.shape[-1], size[0] - before[1] - part.shape[-2])
            alone = F.pad(part, (before[0], after[0], before[1], after[1]))
            lags = torch.fft.irfft2(torch.fft.rfft2(alone) * whitened.conj(), s=size)
            lags = lags.roll((_LAGS, _LAGS), (-2, -1))[..., : 2 * _LAGS + 1, : 2 * _LAGS + 1]
            expected = level * power[..., rows, columns].sum((1, 2, 3)).sqrt()
            seen.append(lags.flatten(1) / expected.clamp(min=1e-9)[:, None])
    pixels = mask.sum((1, 2, 3)) / _PARTS**2
    return (torch.stack(seen).var(0).mean(1) - 1) * (2 * _LAGS + 1) ** 2 / pixels


def differs(assessment: Assessment, measurement: tuple[int, ...]) -> bool:
    """Whether it is worth while to go on with a kernel for each part of the frame.

    Not from a kernel that is likely wrong, unless just this shows in so large a share that it may be why.

    Args:
        assessment: of a solution, with what `locality` says.
        measurement: (C, H, W).
    """
    share, likely = assessment.evidence.get("locality", -math.inf), assessment.probability >= 0.5
    chance = (2 * _LAGS + 1) ** 2 * _PARTS**2 / math.prod(measurement[1:])
    return share >= (_GOES_ON * chance if likely else max(DIFFERS, _GOES_ON * chance))


def sparser(one: Assessment, other: Assessment) -> bool:
    """Whether the gradients of an image are at least as sparse as those of the other, as those of pictures are."""
    return one.evidence["sparsity"] <= other.evidence["sparsity"]


def parts(measurement: tuple[int, ...]) -> int:
    """How many kernels there are then along each side of a measurement (C, H, W)."""
    return max(2, min(MOST_TILES, round(min(measurement[1:]) / _APART)))


def check_tiles(tiles: object) -> None:
    """IptError where it is no number of kernels along a side, or None."""
    if tiles is not None and (not isinstance(tiles, int) or isinstance(tiles, bool) or not 1 <= tiles <= MOST_TILES):
        raise IptError(f"operator.tiles is a whole number from 1 to {MOST_TILES}, not {tiles!r}")
