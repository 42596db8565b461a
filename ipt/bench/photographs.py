"""The data of the protocol `photographs`: simulated camera shake, noise and JPEG, fixed by the index of a picture.

Evenly spaced pictures of a folder are blurred and then cut to squares, so that pixels outside the frame are real. The
kernels have 9 to 31 px; of eight, five are camera motions, one a line, one a disc, one a Gaussian. The camera rotates
while it moves (`ipt.simulate.camera.turned`) in two thirds of the pictures, by .0015 or .003 rad per pixel of shift, so
that the best single kernel leaves a residual of .0015 to .019 (median .007, on pictures of BSDS500). The noise is .006;
values are clipped and rounded to 8 bits, and two thirds of the pictures are saved as JPEG of quality 95 or 90.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ipt.core.errors import IptError
from ipt.images import files
from ipt.images.fit import as_colour
from ipt.operators.blur.kernels import DefocusKernels, GaussianKernels, MotionKernels
from ipt.simulate.camera import Camera, rounded, turned

KINDS = ("motion", "motion", "line", "motion", "disc", "motion", "gaussian", "motion")
SIDES = (9, 13, 17, 21, 25, 31)
ROTATIONS = (0.0, 0.0015, 0.003)
"""Rotations of the camera, in radians per pixel of shift."""
QUALITIES = (None, 95, 90)
NOISE = 0.006
LEAST_PICTURES = 40


@dataclass(frozen=True)
class Photograph:
    """A simulated photograph.

    Attributes:
        measurement: (3, side, side) in 0..1.
        truth: (3, side, side) in 0..1.
        kernel: (1, h, h), in the middle of the frame.
        kind: Of the kernel, one of `KINDS`.
    """

    measurement: Tensor
    truth: Tensor
    kernel: Tensor
    kind: str


def check_pictures(paths: Sequence[Path]) -> None:
    """Raise IptError for less than `LEAST_PICTURES` pictures."""
    if len(paths) < LEAST_PICTURES:
        raise IptError(
            f"the protocol takes {LEAST_PICTURES} pictures or more, and there are {len(paths)}; name a folder with "
            f"more of them (pictures=)"
        )


def draw_kernel(index: int) -> tuple[Tensor, str]:
    """The kernel of a picture, (1, h, h), and its kind."""
    side, kind, seed = SIDES[index % len(SIDES)], KINDS[index % len(KINDS)], 500 + index
    shape = (1, side, side)
    if kind == "motion":
        return MotionKernels((0.2, 1.0), (0.75 * side, side)).sample([seed], shape)[0], kind
    if kind == "line":
        return MotionKernels(0.0, 0.95 * side).sample([seed], shape)[0], kind  # type: ignore[arg-type]
    if kind == "disc":
        return DefocusKernels((max(1.5, side / 5), max(1.6, side / 4))).sample([seed], shape)[0], kind
    return GaussianKernels((side / 8, side / 7)).sample([seed], shape)[0], kind


def source(paths: Sequence[Path], index: int, count: int) -> Path:
    """The file of picture `index`, evenly spaced for the protocol's 40 pictures, or for `count` if that is more."""
    return paths[index * len(paths) // max(LEAST_PICTURES, count)]


def photograph(path: Path, index: int, side: int) -> Photograph:
    """Make picture `index` from a file.

    Args:
        path: Of the clean picture.
        index: Fixes kernel, rotation, crop, noise and JPEG quality.
        side: Of the square, in pixels.

    Raises:
        IptError: The file cannot be read, or is smaller than the square with the kernel's margins.
    """
    rng = np.random.default_rng(1000 + index)
    kernel, kind = draw_kernel(index)
    need, before = side + kernel.shape[-1] - 1, kernel.shape[-1] - 1 - kernel.shape[-1] // 2
    picture = as_colour(files.read(path).pixels.clamp(0, 1), 3)
    height, width = picture.shape[1:]
    if min(height, width) < need:
        raise IptError(
            f"{path} is {width} x {height} px, and {need} x {need} are needed: a square of {side} and what its kernel "
            f"sees around it; give larger pictures"
        )
    top, left = (height - need) // 2, int(rng.integers(0, width - need + 1))
    image = picture[:, top : top + need, left : left + need]
    direction = rng.normal(size=2)
    blurred = turned(image, kernel, ROTATIONS[index % 3], direction / np.linalg.norm(direction))
    noisy = blurred + NOISE * torch.from_numpy(rng.normal(size=blurred.shape)).float()
    measurement = rounded(Camera(jpeg=QUALITIES[index // 2 % 3]).stored(noisy))
    return Photograph(measurement, image[:, before : before + side, before : before + side], kernel, kind)
