"""What is known beforehand: parameters given as arrays, clean pictures to compare with, and the true parameters beside
them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ipt.core.errors import IptError
from ipt.images import files
from ipt.images.files import Picture


@dataclass(frozen=True)
class Truth:
    """A clean picture, and true parameters (C, H, W), or of several frames (F, C, H, W), by name, in physical units."""

    picture: Picture
    parameters: Mapping[str, Tensor] = field(default_factory=dict)


def read_parameter(path: str | os.PathLike[str]) -> Tensor:
    """The parameter in a .npy file, (C, H, W) float32, or of several frames (F, C, H, W); an array (H, W) has one
    channel, a number or a list (C,) one value a channel. IptError: no such file, or no numbers.
    """
    file = Path(path)
    try:
        # allow_pickle=False: a file cannot run code.
        values = np.load(file, allow_pickle=False)
        if not isinstance(values, np.ndarray):
            raise ValueError("it holds several arrays")
        # A copy, and in this machine's byte order, which torch wants.
        tensor = torch.from_numpy(np.array(values, dtype=np.float32))
    except FileNotFoundError:
        raise IptError(f"{file} does not exist; give a .npy file with the parameter's values") from None
    except (OSError, ValueError, EOFError, TypeError) as error:
        raise IptError(f"{file} is not a .npy file of numbers ({error}); save the values with numpy.save") from error
    if tensor.ndim == 2:
        tensor = tensor[None]
    elif tensor.ndim < 2:
        tensor = tensor.reshape(-1, 1, 1)
    if tensor.ndim > 4 or not tensor.numel():
        raise IptError(
            f"{file} is of shape {tuple(tensor.shape)}; a parameter is a number, (height, width), (channels, height, "
            f"width) or, of several frames, (frames, channels, height, width)"
        )
    if not torch.isfinite(tensor).all():
        raise IptError(f"{file} has NaN or infinite values; replace them, then try again")
    if not tensor.any() and min(tensor.shape[-2:]) > 1:
        raise IptError(f"{file} holds nothing but zeros; give the parameter's values")
    return tensor


def truth_file(reference: str | os.PathLike[str], stem: str, usual: str = "") -> Path:
    """The clean picture for the input called `stem`: `reference` itself, or the picture of that name in that folder,
    first with the suffix `usual`.

    IptError: there is none.
    """
    place = Path(reference)
    if not place.is_dir():
        return place
    for suffix in (usual, *files.SUFFIXES):
        if (place / f"{stem}{suffix}").is_file():
            return place / f"{stem}{suffix}"
    raise IptError(f"{place} has no picture called {stem}; name the references as the inputs, or leave out --reference")


def read_truth(file: Path, parameters: Iterable[str]) -> Truth:
    """The clean picture in a file, and a.kernel.npy beside a.png for a parameter called kernel, where it is there."""
    found = {name: parameter_file(file, name) for name in parameters}
    return Truth(files.read(file), {name: read_parameter(path) for name, path in found.items() if path.is_file()})


def parameter_file(picture: Path, parameter: str) -> Path:
    """Where the true values of a parameter lie beside a clean picture."""
    return picture.with_name(f"{picture.stem}.{parameter}.npy")
