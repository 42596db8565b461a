"""The files of one result, in a folder.

For an input a.png:

    a.png               the result, with the suffix of its format; of a result a.npy, a picture of it
    a.measurement.png   the input; a.measurement.npy as well, where it is no picture
    a.residual.png      measurement - prediction
    a.kernel.npy        a parameter named "kernel"; a.kernel.png where it can be drawn (`parameter_picture`)
    a.sample1.png       with several samples: each of them, their parameters as a.sample1-kernel.png,
                        and their standard deviation as a.spread.npy and a.spread.png
    a.reference.png     with a truth: the part of it that the result shows
    a.mask.png          what was trusted, where that is not everything

Of several frames, a.measurement.png is the first one, a.mean.png and a.median.png are over all, a.kernel.npy is
(frames, C, H, W), or (C, H, W) if the frames share it, a.kernel.png and a.residual.png show the frames side by side,
and a.mask.png the frames, red where they were not trusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from ipt.images import measurements
from ipt.images.choices import is_array
from ipt.images.fields import parameter_picture
from ipt.images.files import Picture, write
from ipt.images.formats import write_as
from ipt.images.parameters import write_parameter
from ipt.images.pictures import (
    MOST_FRAMES,
    reddened,
    residual_picture,
    screen_picture,
    sheet_of_frames,
    spread_picture,
)
from ipt.solve.result import ImageResult


def write_files(folder: Path, stem: str, result: ImageResult) -> dict[str, str]:
    """Write the files of a result; their names by role, such as {"kernel": "a.kernel.png"}."""
    files = _Files(folder, stem)
    _write_image(files, result)
    _write_measurement(files, result)
    residuals = _by_frame(result.residual, result.frames)
    files.write_picture("residual", _sheet([residual_picture(one, result.noise) for one in residuals]))
    _write_parameters(files, result)
    _write_samples(files, result)
    if result.mask is not None:
        files.write_picture("mask", _mask(result))
    if result.reference is not None:
        files.write_picture("reference", _screen(result.reference, True))
    return files.names


@dataclass(frozen=True)
class _Files:
    """The files of the result `stem` in a folder.

    Attributes:
        folder: where they are written.
        stem: what their names begin with.
        names: of those that are written, by role.
    """

    folder: Path
    stem: str
    names: dict[str, str] = field(default_factory=dict)

    def write_picture(self, role: str, value: Picture | np.ndarray) -> None:
        """Write a.ROLE.png."""
        self.names[role] = f"{self.stem}.{role.replace(' ', '')}.png"
        write(self.folder / self.names[role], value)

    def write_values(self, role: str, value: Tensor) -> None:
        """Write a.ROLE.npy, as the role "ROLE values"."""
        self.names[f"{role} values"] = f"{self.stem}.{role}.npy"
        write_parameter(self.folder / f"{self.stem}.{role}.npy", value)


def _screen(picture: Picture, in_range: bool) -> Picture | np.ndarray:
    """What people see of a picture: itself, or, where it is none or not `in_range` (0..1), its values stretched."""
    return picture if in_range and measurements.fits_picture(picture.pixels) else measurements.drawn(picture.pixels)


def _write_image(files: _Files, result: ImageResult) -> None:
    image = result.picture
    files.names["result"] = f"{files.stem}{result.suffix}"
    write_as(files.folder / files.names["result"], image)
    if is_array(result.suffix):
        files.names["result values"], files.names["result"] = files.names["result"], f"{files.stem}.png"
        write(files.folder / files.names["result"], _screen(image, True))


def _write_measurement(files: _Files, result: ImageResult) -> None:
    measured, is_picture = result.measurement, result.spec is None
    files.write_picture("measurement", _screen(measured, is_picture))
    if not is_picture or not measurements.fits_picture(measured.pixels):
        files.names["measurement values"] = f"{files.stem}.measurement.npy"
        is_complex = result.spec is not None and result.spec.is_complex
        measurements.write(files.folder / files.names["measurement values"], measured.pixels, is_complex=is_complex)
    for name, combined in result.combined.items():
        files.write_picture(name, _screen(combined, is_picture))


def _write_parameters(files: _Files, result: ImageResult) -> None:
    for name, value in result.parameters.items():
        each = parameter_by_frame(result, name, value)
        files.write_values(name, each if len(each) > 1 else value)
        pictures = [parameter_picture(one, result.picture.pixels) for one in each]
        drawn = [picture for picture in pictures if picture is not None]
        if drawn:
            files.write_picture(name, _sheet(drawn))


def _write_samples(files: _Files, result: ImageResult) -> None:
    for number, sample in enumerate(result.samples if result.samples is not None else (), 1):
        files.write_picture(f"sample {number}", _screen(result.picture.with_pixels(sample), True))
        for name, values in result.drawn.items():
            first = parameter_by_frame(result, name, values[number - 1])[0]
            if (drawn := parameter_picture(first, sample)) is not None:
                files.write_picture(f"sample {number}-{name}", drawn)
    if result.spread is not None:
        files.write_values("spread", result.spread)
        files.write_picture("spread", spread_picture(result.spread))


def _mask(result: ImageResult) -> np.ndarray:
    """The mask, white where the measurement was trusted; of several exposures the frames, red where they were not."""
    assert result.mask is not None
    masks: list[np.ndarray] = [(255 * one.numpy()).astype(np.uint8) for one in result.mask]
    if not result.exposures:
        return masks[0]
    shown = [screen_picture(one.pixels) for one in result.exposures[:MOST_FRAMES]]
    each = zip(shown, masks[: len(shown)], strict=True)
    return sheet_of_frames([np.asarray(reddened(one, Image.fromarray(mask))) for one, mask in each])


def parameter_by_frame(result: ImageResult, name: str, value: Tensor) -> Tensor:
    """A parameter of every frame, (frames, C, H, W), or (1, C, H, W) if the frames share it."""
    return _by_frame(value, 1 if name in result.shared else result.frames)


def _by_frame(stacked: Tensor, frames: int) -> Tensor:
    """(frames * C, H, W) -> (frames, C, H, W)."""
    return stacked.reshape(frames, -1, *stacked.shape[1:])


def _sheet(pictures: Sequence[np.ndarray]) -> np.ndarray:
    return pictures[0] if len(pictures) == 1 else sheet_of_frames(pictures)
