"""What `ipt.restore` is given, files and arrays of numpy and torch, and results as arrays like these."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ipt.core.errors import Misuse
from ipt.images import measurements
from ipt.images.arrays import from_array, like
from ipt.images.exposures import of_one_scene, read_exposures
from ipt.images.files import Picture
from ipt.images.noise import Noise, Poisson
from ipt.images.parameters import parameter, read_parameter
from ipt.solve.masks import mask_of, read_mask

Source = str | os.PathLike[str] | np.ndarray | Tensor
"""A file, or an array of numpy or torch."""


def exposures_of(
    picture: Source | Sequence[Source], frames: bool, units: bool
) -> tuple[list[Picture], np.ndarray | Tensor]:
    """One picture or several, and the array that the result is to be like; units: as of `measurements.read`.

    Raises:
        IptError: files that cannot be read, arrays that are no pictures, exposures that do not fit together.
    """
    if isinstance(picture, list | tuple):
        if len(picture) < 2:
            raise Misuse("picture= of several exposures is a list of two or more; give a single one by itself")
        each = [_read(one, units) for one in picture]
        names = [
            str(one) if isinstance(one, str | os.PathLike) else f"exposure {n}" for n, one in enumerate(picture, 1)
        ]
        read = of_one_scene(dict(zip(names, (one for one, _ in each), strict=True)), units)
        return list(read), _array(read[0]) if isinstance(picture[0], str | os.PathLike) else each[0][1]
    if frames:
        if not isinstance(picture, str | os.PathLike):
            raise Misuse("frames= is for a file or folder of exposures; give arrays as a list")
        exposures = read_exposures(picture, units)
        return list(exposures), _array(exposures[0], units)
    found, given = _read(picture, units)
    return [found], given


def _array(picture: Picture, units: bool = False) -> np.ndarray:
    """The array that a file's picture would be."""
    if units or measurements.holds_array(picture):
        return picture.pixels.numpy()
    levels = picture.levels() if picture.span is None else picture.numbers.float().permute(1, 2, 0).numpy()
    return levels[:, :, 0] if levels.shape[2] == 1 else levels


def _read(picture: Any, units: bool) -> tuple[Picture, np.ndarray | Tensor]:
    """A picture, or a measurement in units of its own, and the array that the result is to be like."""
    if isinstance(picture, str | os.PathLike):
        found = measurements.read(picture, units)
        return found, _array(found, units)
    if not isinstance(picture, np.ndarray | Tensor):
        raise Misuse(f"picture= is a path, or an array of numpy or torch, not a {type(picture).__name__}")
    return (measurements.from_numbers(picture) if units else from_array(picture)), picture


def as_given(picture: Picture, given: np.ndarray | Tensor) -> Any:
    """A result as an array like the one that was given; of what was no picture, float32 as it is."""
    return values_like(picture.pixels, given) if measurements.holds_array(picture) else like(picture, given)


def option_level(noise: object) -> float | Poisson | None:
    """As options have it, which know maps by their files alone."""
    return noise if isinstance(noise, float | int | Poisson) else None


def noise_of(noise: float | Poisson | Source | None) -> Noise:
    """With a map read; IptError: it cannot be."""
    if isinstance(noise, str | os.PathLike):
        return measurements.read_levels(Path(noise))
    if isinstance(noise, np.ndarray | Tensor):
        return measurements.from_numbers(noise).pixels
    return noise


def parameter_of(name: str, value: Source) -> Tensor:
    """A known parameter, (C, H, W) or of several frames (F, C, H, W); IptError: it is none."""
    if isinstance(value, str | os.PathLike):
        return read_parameter(value)
    return parameter(_tensor(value).float(), f"known {name}")


def mask_from(mask: Source, size: tuple[int, int]) -> Tensor | None:
    """(1, H, W) of 0 and 1 from a file or an array; None: all is to be trusted. IptError: it is none of this size."""
    if isinstance(mask, str | os.PathLike):
        return read_mask(Path(mask), size)
    values = _tensor(mask)
    if values.ndim != 2:
        raise Misuse(f"mask= is a file or an array (height, width), not of shape {tuple(values.shape)}")
    whole = values.dtype != torch.bool and not values.is_floating_point()
    light = values.float()[None] / (torch.iinfo(values.dtype).max if whole else 1)
    # A program's mask may well leave out nothing.
    return None if light.min() >= 0.5 and light.shape[1:] == size else mask_of(light, size)


def _tensor(array: np.ndarray | Tensor) -> Tensor:
    """On the CPU; numbers of numpy are copied, since torch warns of those that cannot be written to."""
    return array.detach().cpu() if isinstance(array, Tensor) else torch.from_numpy(np.array(array))


def values_like(tensor: Tensor, given: np.ndarray | Tensor) -> Any:
    """float32, of numpy or torch as `given`."""
    return tensor.to(given.device) if isinstance(given, Tensor) else tensor.numpy()
