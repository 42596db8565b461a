"""Parameters of an operator as .npy files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ipt.core.errors import IptError
from ipt.images import files
from ipt.images.atomic import atomic
from ipt.images.choices import SUFFIXES


def read_parameter(path: str | os.PathLike[str]) -> Tensor:
    """Read a parameter from a .npy file, or from a picture, whose grey values are the entries (of a kernel, say).

    Returns:
        float32 (C, H, W), or (F, C, H, W) of several frames. An array (H, W) has one channel; a number or an array (C,)
        has one value per channel, (C, 1, 1).

    Raises:
        IptError: There is no such file, or it holds no numbers, NaN or infinite values, or only zeros.
    """
    file = Path(path)
    if file.suffix.lower() not in SUFFIXES:
        return parameter(_array(file), str(file))
    pixels = files.read(file, least=1, any_range=True).opaque(str(file))
    return parameter(pixels.mean(0, keepdim=True), str(file))


def parameter(tensor: Tensor, name: str) -> Tensor:
    """A parameter from a tensor, with the shapes and errors of `read_parameter`; name: for messages."""
    if tensor.ndim == 2:
        tensor = tensor[None]
    elif tensor.ndim < 2:
        tensor = tensor.reshape(-1, 1, 1)
    if tensor.ndim > 4 or not tensor.numel():
        raise IptError(
            f"{name} is of shape {tuple(tensor.shape)}; a parameter is a number, (height, width), (channels, height, "
            f"width) or, of several frames, (frames, channels, height, width)"
        )
    if not torch.isfinite(tensor).all():
        raise IptError(f"{name} has NaN or infinite values; replace them, then try again")
    if not tensor.any() and min(tensor.shape[-2:]) > 1:
        raise IptError(f"{name} holds nothing but zeros; give the parameter's values")
    return tensor


def _array(file: Path) -> Tensor:
    """The array in a .npy file, float32, of any shape."""
    try:
        # allow_pickle=False: a file cannot run code.
        values = np.load(file, allow_pickle=False)
        if not isinstance(values, np.ndarray):
            raise ValueError("it holds several arrays")
        if np.iscomplexobj(values):
            raise ValueError("it holds complex numbers")
        # A copy in this machine's byte order, which torch needs.
        return torch.from_numpy(np.array(values, dtype=np.float32))
    except FileNotFoundError:
        raise IptError(f"{file} does not exist; give a .npy file with the parameter's values") from None
    except MemoryError:
        raise
    except Exception as error:
        # A damaged header is parsed as Python, which may fail in any way.
        raise IptError(f"{file} is not a .npy file of numbers ({error}); save the values with numpy.save") from error


def write_parameter(path: Path, value: Tensor) -> None:
    """Write a parameter as a .npy file of float32, whole or not at all; IptError where that fails."""
    with atomic(path) as file:
        np.save(file, value.detach().cpu().float().numpy())


def parameter_file(picture: Path, parameter: str) -> Path:
    """The file beside a clean picture that holds the true values of a parameter."""
    return picture.with_name(f"{picture.stem}.{parameter}.npy")
