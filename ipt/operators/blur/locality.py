"""Whether one kernel holds for the whole picture, from what it leaves unexplained.

residual, image --locality--> share of the residual --differs--> one kernel, or `parts` x `parts` kernels
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.core.abilities import Assessment
from ipt.core.errors import IptError
from ipt.core.observation import Observation
from ipt.linalg.spectra import SPECTRUM, frequencies
from ipt.operators.blur.measured import fully_measured

DIFFERS = 0.13
"""The share (`locality`) from which kernels differ: docs/verdict.md."""
_GOES_ON = 1.3
"""The share, in units of what occurs by chance, from which a solve continues with several kernels: docs/method.md,
Shake."""
_APART = 128
"""Pixels from one of these kernels to the next: docs/method.md, Shake."""
MOST_TILES = 8
"""Most kernels along each side of the frame."""
LEAST = 160
"""Least pixels of a frame's side. In the quarters of a smaller frame, an error of the kernel looks like a kernel that
differs."""
_PARTS = 2
"""Parts along each side of the frame that are compared."""
_LAGS = 10
"""Pixels: the largest lag of the cross-correlation."""


def locality(observation: Observation, residual: Tensor, image: Tensor, frame: tuple[slice, slice]) -> Tensor:
    """The share of the residual that kernels which differ between the quarters of the frame would explain, (B,).

    In each quarter, the cross-correlation of the residual's luminance with the image's, whitened, shows the error of
    the kernel. The variance between the quarters is the share; the variance that occurs by chance is subtracted, so
    that it is about 0 if one kernel holds.

    Args:
        observation: the measurement, (B, C, P, Q).
        residual: measurement - prediction, (B, C, P, Q).
        image: the estimate, (B, C, H, W) in 0..1.
        frame: rows and columns of the image that were measured.
    """
    mask, size = fully_measured(observation, residual), (image.shape[-2], image.shape[-1])
    luminance = mask * residual.mean(1, keepdim=True)
    level = (luminance.square().sum((1, 2, 3)) / mask.sum((1, 2, 3))).sqrt().clamp(min=1e-9)
    whitened = frequencies(size, image) ** (SPECTRUM[1] / 2) * torch.fft.rfft2(image.mean(1, keepdim=True))
    power = torch.fft.irfft2(whitened, s=size)[(..., *frame)].square() * mask
    top, left = (span.start or 0 for span in frame)
    errors = []
    for rows, columns in _quarters(luminance.shape[-2], luminance.shape[-1]):
        place = (top + rows.start, left + columns.start)
        lags = _cross_correlation(luminance[..., rows, columns], whitened, size, place)
        by_chance = level * power[..., rows, columns].sum((1, 2, 3)).sqrt()
        errors.append(lags.flatten(1) / by_chance.clamp(min=1e-9)[:, None])
    pixels = mask.sum((1, 2, 3)) / _PARTS**2
    return (torch.stack(errors).var(0).mean(1) - 1) * (2 * _LAGS + 1) ** 2 / pixels


def _quarters(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of each part of a frame, row by row."""
    for row in range(_PARTS):
        for column in range(_PARTS):
            rows = slice(row * height // _PARTS, (row + 1) * height // _PARTS)
            yield rows, slice(column * width // _PARTS, (column + 1) * width // _PARTS)


def _cross_correlation(part: Tensor, spectrum: Tensor, size: tuple[int, int], place: tuple[int, int]) -> Tensor:
    """Cross-correlation of a part with an image, at lags up to `_LAGS`, (B, 1, 2 lags + 1, 2 lags + 1).

    Args:
        part: (B, 1, h, w).
        spectrum: of the image, (B, 1, H, W // 2 + 1).
        size: (H, W) of the image.
        place: row and column of the part's first pixel in the image.
    """
    (height, width), (top, left) = size, place
    below, right = height - top - part.shape[-2], width - left - part.shape[-1]
    alone = F.pad(part, (left, right, top, below))
    lags: Tensor = torch.fft.irfft2(torch.fft.rfft2(alone) * spectrum.conj(), s=size)
    return lags.roll((_LAGS, _LAGS), (-2, -1))[..., : 2 * _LAGS + 1, : 2 * _LAGS + 1]


def differs(assessment: Assessment, measurement: tuple[int, ...]) -> bool:
    """Whether a solve should continue with a kernel for each part of the frame.

    A solution that is likely wrong continues only if the share is so large that it may be the cause.

    Args:
        assessment: of the solution, with `locality` among its evidence.
        measurement: its shape, (C, H, W).
    """
    share, likely = assessment.evidence.get("locality", -math.inf), assessment.probability >= 0.5
    chance = (2 * _LAGS + 1) ** 2 * _PARTS**2 / math.prod(measurement[1:])
    return share >= (_GOES_ON * chance if likely else max(DIFFERS, _GOES_ON * chance))


def sparser(one: Assessment, other: Assessment) -> bool:
    """Whether the gradients of one image are at least as sparse as the other's; those of pictures are sparse."""
    return one.evidence["sparsity"] <= other.evidence["sparsity"]


def parts(measurement: tuple[int, ...]) -> int:
    """How many kernels there are along each side of a measurement (C, H, W), if they differ."""
    return max(2, min(MOST_TILES, round(min(measurement[1:]) / _APART)))


def check_tiles(tiles: object) -> None:
    """Refuse what is neither a number of kernels along a side nor None.

    Raises:
        IptError: it is not a whole number from 1 to `MOST_TILES`.
    """
    if tiles is not None and (not isinstance(tiles, int) or isinstance(tiles, bool) or not 1 <= tiles <= MOST_TILES):
        raise IptError(f"operator.tiles is a whole number from 1 to {MOST_TILES}, not {tiles!r}")
