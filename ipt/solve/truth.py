"""The truth to compare a result with: a clean picture, and true parameters in files beside it."""

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
    """The truth behind a measurement.

    Attributes:
        picture: the clean picture.
        parameters: true parameters by name, in physical units, (C, H, W), or (F, C, H, W) of several frames that do not
            share them.
    """

    picture: Picture
    parameters: Mapping[str, Tensor] = field(default_factory=dict)


def truth_file(reference: str | os.PathLike[str], stem: str, usual: str = "") -> Path:
    """The file of the clean picture for an input.

    Args:
        reference: that file, or a folder that holds it.
        stem: of the input's name; the file in the folder has the same.
        usual: the suffix that is looked for first.

    Raises:
        IptError: the folder holds no such file.
    """
    place = Path(reference)
    if not place.is_dir():
        return place
    for suffix in (usual, *SUFFIXES, *ARRAY_SUFFIXES):
        if os.path.isfile(place / f"{stem}{suffix}"):
            return place / f"{stem}{suffix}"
    raise IptError(f"{place} has no picture called {stem}; name the references as the inputs, or leave out reference=")


def read_truth(file: Path, parameters: Iterable[str]) -> Truth:
    """Read a clean picture, a.png, and the true parameters beside it, a.kernel.npy for the parameter kernel."""
    found = {name: parameter_file(file, name) for name in parameters}
    values = {name: read_parameter(path) for name, path in found.items() if os.path.isfile(path)}
    return Truth(measurements.read(file), values)


def window_of(picture: Picture, fitted: Fitted) -> Picture:
    """The part of a picture that the result shows."""
    top, left, height, width = fitted.window
    return picture.with_pixels(picture.pixels[:, top : top + height, left : left + width])


def reference_of(truth: Truth, measured: Picture, shape: tuple[int, ...], fitted: Fitted) -> Picture:
    """The part of the true picture that the result shows.

    Args:
        truth: with the clean picture.
        measured: the input; the reference gets its range of values.
        shape: (C, H, W) of the result's image before it is cropped to that part.
        fitted: how the input was fitted to the prior.

    Raises:
        IptError: the clean picture has another size, or is in colour where the image is grey.
    """
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
