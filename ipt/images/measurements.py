"""Measurements in units of their own, from and to .npy and .npz files, without clipping.

An array is (channels, height, width), (height, width), or (length,), which becomes (1, 1, length). Complex numbers
become twice as many channels: the real parts of all channels, then the imaginary parts.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from ipt.core.abilities import MeasurementSpec, PhysicalUnits, ability
from ipt.core.errors import IptError, plural
from ipt.core.operator import ParametricOperator
from ipt.images import files
from ipt.images.atomic import atomic
from ipt.images.choices import is_array
from ipt.images.files import Picture
from ipt.images.noise import Poisson

_NAMES = ("measurement", "image")
"""Names of the array to read, if a .npz file holds several."""
_CHANNELS = (1, 3)
"""Numbers of channels that pictures have."""
_CURVE = (512, 192)
"""Width and height in pixels of the picture of a curve."""


def measured(operator: ParametricOperator) -> MeasurementSpec | None:
    """The specification of an operator's measurements (`PhysicalUnits`); None: it measures pictures."""
    able = ability(operator, PhysicalUnits)
    return None if able is None else able.measured()


def check_complex(spec: MeasurementSpec, measurement: Tensor, name: str) -> None:
    """IptError where a measurement (C, H, W) cannot be of complex numbers, and the operator measures such."""
    if spec.is_complex and len(measurement) % 2:
        channels = plural(len(measurement), "channel")
        raise IptError(
            f"{name} has {channels} of real numbers, and the operator measures {spec.meaning}, which is complex: give "
            f"a .npy file of complex numbers"
        )


def own_noise(spec: MeasurementSpec | None) -> float | Poisson | None:
    """The noise that an operator declares for its measurements; None: it declares none."""
    if spec is not None and spec.gain:
        return Poisson(1 / spec.gain, spec.noise or 0.0)
    return None if spec is None else spec.noise


def holds_array(picture: Picture) -> bool:
    """Whether a picture was read from a .npy or .npz file, or made by `from_numbers`."""
    return picture.source.partition(" ")[0] in ("NPY", "NPZ")


def read(path: str | os.PathLike[str], units: bool = False) -> Picture:
    """Read a measurement from a picture or an array.

    Args:
        path: A picture, .npy or .npz file.
        units: Whether the operator has units of its own, so that values are not scaled. Else they are a picture's:
            floats in 0..1, or uint8 or uint16, whose largest value becomes 1.

    Raises:
        IptError: The file cannot be read, has another shape, or holds no numbers or some that are not finite.
    """
    if not is_array(path):
        return files.read(path, any_range=units)
    place = Path(path)
    return _picture(_loaded(place), units, str(place), place.suffix[1:].upper())


def from_numbers(given: np.ndarray | Tensor, name: str = "the measurement") -> Picture:
    """A measurement in the operator's units from an array of numpy or torch; name: for messages."""
    return _picture(given if isinstance(given, np.ndarray) else given.detach().cpu().numpy(), True, name, "NPY")


def _picture(values: np.ndarray, units: bool, name: str, source: str) -> Picture:
    kind = str(values.dtype)
    if values.dtype.kind not in "buifc":
        raise IptError(f"{name} holds {kind}; a measurement is of numbers, real or complex")
    shape = _shaped(values.shape, name)
    if not units and shape[0] > 4 >= shape[2] and values.ndim == 3:
        raise IptError(
            f"{name} is of shape {values.shape}, and arrays are (channels, height, width): save x.transpose(2, 0, 1)"
        )
    if not np.isfinite(values).all():
        raise IptError(f"{name} has NaN or infinite values; replace them, and leave them out with mask=")
    planes = [values.real, values.imag] if values.dtype.kind == "c" else [values]
    scale = 1 if units else {"uint8": 255, "uint16": 65535}.get(kind, 1)
    pixels = np.concatenate([plane.reshape(shape).astype(np.float32) for plane in planes]) / np.float32(scale)
    return Picture(torch.from_numpy(pixels), None, 8 if kind == "uint8" else 16, f"{source} {kind}")


def shape_of(path: Path) -> tuple[int, ...]:
    """(C, H, W) of a measurement's file, without reading a picture's pixels; errors as for `files.shape_of`."""
    if not is_array(path):
        return files.shape_of(path)
    values = _loaded(path)
    channels, *sides = _shaped(values.shape, str(path))
    return (channels * (2 if values.dtype.kind == "c" else 1), *sides)


def read_levels(path: Path) -> Tensor:
    """Read a map of noise levels, (1 or C, H, W), from a .npy or .npz file; IptError if it cannot be read."""
    if not is_array(path):
        raise IptError(f"{path} is not a .npy or .npz file; noise= is auto, a number, poisson:PEAK, or such a file")
    return read(path, units=True).pixels


def write(path: Path, values: Tensor, name: str = "image", is_complex: bool = False) -> None:
    """Write (C, H, W) as a .npy or .npz file of float32 or complex64, whole or not at all.

    Args:
        path: Of the file.
        values: The numbers, (C, H, W).
        name: Of the array in a .npz file.
        is_complex: Whether the second half of the channels are imaginary parts.

    Raises:
        IptError: NaN or infinite values, an odd number of channels that are to be complex, a file that cannot be
            written.
    """
    array = values.detach().cpu().float().numpy()
    if not np.isfinite(array).all():
        raise IptError(
            f"{path.name} would have NaN or infinite values and was not written; try another seed= or guidance="
        )
    if is_complex:
        if len(array) % 2:
            raise IptError(
                f"{len(array)} channels are not real and imaginary parts: correct what the operator measures"
            )
        real, imaginary = np.split(array, 2)
        array = (real + 1j * imaginary).astype(np.complex64)
    named: dict[str, Any] = {name: array}
    with atomic(path) as file:
        if path.suffix == ".npz":
            np.savez(file, **named)
        else:
            np.save(file, array)


def fits_picture(values: Tensor) -> bool:
    """Whether (C, H, W) has the channels and the sides of a picture."""
    return len(values) in _CHANNELS and min(values.shape[1:]) > 1


def drawn(values: Tensor) -> np.ndarray:
    """Draw numbers of any range, (C, H, W): the mean over channels in grey, stretched to black and white.

    Returns:
        uint8 (H, W); a curve if the numbers are one row or column.
    """
    array = values.detach().cpu().double().mean(0).numpy()
    low, high = float(array.min()), float(array.max())
    shares = (array - low) / (high - low if high > low else 1)
    if min(array.shape) > 1:
        grey: np.ndarray = np.rint(255 * shares).astype(np.uint8)
        return grey
    (width, height), line = _CURVE, shares.flatten()
    picture = Image.new("L", _CURVE, 255)
    across = np.linspace(4, width - 5, len(line))
    down = height - 5 - (height - 10) * line
    ImageDraw.Draw(picture).line(list(zip(across.tolist(), down.tolist(), strict=True)), fill=0, width=1)
    return np.asarray(picture)


def _shaped(shape: tuple[int, ...], name: str) -> tuple[int, int, int]:
    """The shape (C, H, W) of an array with one to three axes; IptError for others."""
    if not 1 <= len(shape) <= 3 or 0 in shape:
        raise IptError(
            f"{name} is of shape {shape}; a measurement is (channels, height, width), (height, width) or (length,)"
        )
    channels, height, width = (1,) * (3 - len(shape)) + shape
    return channels, height, width


def _loaded(path: Path) -> np.ndarray:
    try:
        # allow_pickle=False: a file cannot run code.
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        with found:
            names = [name for name in found.files if name in _NAMES] or found.files
            if len(names) != 1:
                raise IptError(
                    f"{path} holds {', '.join(found.files) or 'nothing'}; save one array, or call it {_NAMES[0]!r}"
                )
            array: np.ndarray = found[names[0]]
            return array
    except FileNotFoundError:
        raise IptError(f"{path} does not exist; give a file of numbers, saved with numpy.save") from None
    except IptError:
        raise
    except (OSError, ValueError, EOFError, TypeError, BadZipFile) as error:
        raise IptError(f"{path} is damaged or no file of numpy's ({error}); save it with numpy.save") from error
