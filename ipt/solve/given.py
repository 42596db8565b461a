"""Arguments of `ipt.restore`, files and arrays of numpy or torch, as the solver takes them; and results as arrays."""

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
from ipt.images.noise import Noise, NoiseOption, Poisson
from ipt.images.parameters import parameter, read_parameter
from ipt.solve.masks import mask_of, read_mask

Source = str | os.PathLike[str] | np.ndarray | Tensor
"""A file, or an array of numpy or torch."""


def exposures_of(
    picture: Source | Sequence[Source], frames: bool, units: bool
) -> tuple[list[Picture], np.ndarray | Tensor]:
    """Read the argument `picture`.

    Args:
        picture: as of `ipt.restore`.
        frames: whether it is one file or folder that holds several exposures.
        units: whether the operator has units of its own, as of `ipt.images.measurements.read`.

    Returns:
        The exposures (often one), and an array of the kind, layout and number type that the result gets.

    Raises:
        IptError: a file cannot be read, an array is no picture, or the exposures differ in size or colour.
    """
    if isinstance(picture, list | tuple):
        return _several(picture, units)
    if frames:
        if not isinstance(picture, str | os.PathLike):
            raise Misuse("frames= is for a file or folder of exposures; give arrays as a list")
        exposures = read_exposures(picture, units)
        return list(exposures), _array(exposures[0], units)
    found, given = _read(picture, units)
    return [found], given


def _several(pictures: Sequence[Source], units: bool) -> tuple[list[Picture], np.ndarray | Tensor]:
    """Exposures from a list of files or arrays; the result gets the kind of the first one."""
    if len(pictures) < 2:
        raise Misuse("picture= of several exposures is a list of two or more; give a single one by itself")
    by_name, examples = {}, []
    for number, source in enumerate(pictures, 1):
        name = str(source) if isinstance(source, str | os.PathLike) else f"exposure {number}"
        by_name[name], example = _read(source, units)
        examples.append(example)
    read = of_one_scene(by_name, units)
    return list(read), _array(read[0]) if isinstance(pictures[0], str | os.PathLike) else examples[0]


def _array(picture: Picture, units: bool = False) -> np.ndarray:
    """A picture from a file as a numpy array."""
    if units or measurements.holds_array(picture):
        return picture.pixels.numpy()
    levels = picture.levels() if picture.span is None else picture.numbers.float().permute(1, 2, 0).numpy()
    return levels[:, :, 0] if levels.shape[2] == 1 else levels


def _read(picture: Any, units: bool) -> tuple[Picture, np.ndarray | Tensor]:
    """One exposure, and an array of the kind that the result gets."""
    if isinstance(picture, str | os.PathLike):
        found = measurements.read(picture, units)
        return found, _array(found, units)
    if not isinstance(picture, np.ndarray | Tensor):
        raise Misuse(f"picture= is a path, or an array of numpy or torch, not a {type(picture).__name__}")
    return (measurements.from_numbers(picture) if units else from_array(picture)), picture


def as_given(picture: Picture, given: np.ndarray | Tensor) -> Any:
    """A result as an array like `given`: of its layout and number type for pictures, else (C, H, W) float32."""
    return values_like(picture.pixels, given) if measurements.holds_array(picture) else like(picture, given)


def noise_option(noise: float | Poisson | Source | None) -> NoiseOption:
    """The argument `noise` as an option, to be recorded; None for a map that is an array, which has no file."""
    if isinstance(noise, str | os.PathLike):
        return Path(noise)
    return noise if isinstance(noise, float | int | Poisson) else None


def noise_of(noise: float | Poisson | Source | None) -> Noise:
    """The argument `noise`, with a map read from its file or array; IptError if it cannot be read."""
    if isinstance(noise, str | os.PathLike):
        return measurements.read_levels(Path(noise))
    if isinstance(noise, np.ndarray | Tensor):
        return measurements.from_numbers(noise).pixels
    return noise


def parameter_of(name: str, value: Source) -> Tensor:
    """A known parameter as a tensor, (C, H, W), or (F, C, H, W) of several frames; IptError for other shapes."""
    if isinstance(value, str | os.PathLike):
        return read_parameter(value)
    return parameter(_tensor(value).float(), f"known {name}")


def mask_from(mask: Source, size: tuple[int, int]) -> Tensor | None:
    """The argument `mask` as (1, H, W) of 0 and 1; None if it trusts everything.

    size: (height, width) of the picture; IptError for a mask of another size.
    """
    if isinstance(mask, str | os.PathLike):
        return read_mask(Path(mask), size)
    values = _tensor(mask)
    if values.ndim != 2:
        raise Misuse(f"mask= is a file or an array (height, width), not of shape {tuple(values.shape)}")
    whole = values.dtype != torch.bool and not values.is_floating_point()
    light = values.float()[None] / (torch.iinfo(values.dtype).max if whole else 1)
    # A computed mask may well trust everything, which in a file is taken for a mistake.
    return None if light.min() >= 0.5 and light.shape[1:] == size else mask_of(light, size)


def _tensor(array: np.ndarray | Tensor) -> Tensor:
    """A tensor on the CPU; numpy arrays are copied, since torch warns about read-only ones."""
    return array.detach().cpu() if isinstance(array, Tensor) else torch.from_numpy(np.array(array))


def values_like(tensor: Tensor, given: np.ndarray | Tensor) -> Any:
    """A tensor as an array of the kind of `given`: of torch, on its device, or of numpy."""
    return tensor.to(given.device) if isinstance(given, Tensor) else tensor.numpy()
