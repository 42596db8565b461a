"""Clean pictures to compare with, and the true parameters beside them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from ipt.core.errors import IptError
from ipt.images import measurements
from ipt.images.choices import ARRAY_SUFFIXES, SUFFIXES
from ipt.images.files import Picture
from ipt.images.fit import Fitted, as_colour
from ipt.images.parameters import parameter_file, read_parameter


@dataclass(frozen=True)
class Truth:
    """A clean picture, and true parameters (C, H, W), or of several frames (F, C, H, W), by name, in physical units."""

    picture: Picture
    parameters: Mapping[str, Tensor] = field(default_factory=dict)


def truth_file(reference: str | os.PathLike[str], stem: str, usual: str = "") -> Path:
    """The clean picture for an input.

    Args:
        reference: that picture, or a folder that has it.
        stem: of the input; the picture in the folder has the same.
        usual: the suffix that is looked for first.

    Raises:
        IptError: there is none.
    """
    place = Path(reference)
    if not place.is_dir():
        return place
    for suffix in (usual, *SUFFIXES, *ARRAY_SUFFIXES):
        if os.path.isfile(place / f"{stem}{suffix}"):
            return place / f"{stem}{suffix}"
    raise IptError(f"{place} has no picture called {stem}; name the references as the inputs, or leave out reference=")


def read_truth(file: Path, parameters: Iterable[str]) -> Truth:
    """The clean picture in a file, and a.kernel.npy beside a.png for a parameter called kernel, where it is there."""
    found = {name: parameter_file(file, name) for name in parameters}
    values = {name: read_parameter(path) for name, path in found.items() if os.path.isfile(path)}
    return Truth(measurements.read(file), values)


def window_of(picture: Picture, fitted: Fitted) -> Picture:
    """The part of a picture that the result shows."""
    top, left, height, width = fitted.window
    return picture.with_pixels(picture.pixels[:, top : top + height, left : left + width])


def reference_of(truth: Truth, measured: Picture, shape: tuple[int, ...], fitted: Fitted) -> Picture:
    """The part of the true picture that the result shows, with an image's (C, H, W); IptError: it does not fit."""
    picture = truth.picture.in_range_of(measured)
    if picture.shape[1:] != shape[1:]:
        raise IptError(
            f"the reference is {picture.shape[2]} x {picture.shape[1]} px and the picture {shape[2]} x {shape[1]}; "
            f"give a reference of the same size"
        )
    if len(picture.pixels) != shape[0]:
        if len(picture.pixels) != 1:
            raise IptError("the reference is in colour and the image is grey; give a grey reference")
        picture = picture.with_pixels(as_colour(picture.pixels, shape[0]))
    return window_of(picture, fitted) if shape[1:] == measured.shape[1:] else picture
