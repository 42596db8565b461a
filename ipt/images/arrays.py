"""Pictures from and to arrays: numpy (H, W) or (H, W, C), torch (H, W) or (C, H, W)."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ipt.core.errors import IptError
from ipt.images.files import MINIMUM_SIDE, Picture

_LAYOUTS = "a numpy array is (height, width) or (height, width, channels), a tensor (height, width) or (channels, ...)"


def from_array(given: np.ndarray | Tensor, name: str = "the picture") -> Picture:
    """A picture from an array.

    Args:
        given: Of numpy (H, W) or (H, W, C), of torch (H, W) or (C, H, W); C is 1 grey, 2 grey and alpha, 3 colour, 4
            colour and alpha. uint8, uint16, or floats in 0..1; floats outside are taken as they are, with a warning.
        name: For messages.

    Raises:
        IptError: Another shape or kind of number, less than 8 pixels on a side, NaN or infinite values.
    """
    values = _as_numpy(given)
    if values.ndim not in (2, 3):
        raise IptError(f"{name} is of shape {tuple(given.shape)}; {_LAYOUTS}; give one picture")
    if values.ndim == 2:
        values = values[None]
    elif isinstance(given, np.ndarray):
        values = np.moveaxis(values, -1, 0)
    channels, height, width = values.shape
    if not 1 <= channels <= 4:
        raise IptError(f"{name} is of shape {tuple(given.shape)}, so it has {channels} channels; {_LAYOUTS}")
    if min(height, width) < MINIMUM_SIDE:
        raise IptError(f"{name} has {width} x {height} pixels; the least is {MINIMUM_SIDE} x {MINIMUM_SIDE}")
    kind = str(values.dtype)
    if values.dtype.kind != "f" and kind not in ("uint8", "uint16"):
        raise IptError(f"{name} has numbers of kind {kind}; give uint8, uint16, or floats in 0..1")
    if not np.isfinite(values).all():
        raise IptError(f"{name} has NaN or infinite values; replace them, then try again")
    # Values that are far outside are refused later (`ipt.images.ranges`).
    if values.dtype.kind == "f" and (
        values.min() >= -1 and values.max() <= 2 and (values.min() < 0 or values.max() > 1)
    ):
        warnings.warn(
            f"{name} has values from {values.min():.4g} to {values.max():.4g}, and pictures go from 0 (black) to 1 "
            f"(white); they are taken as they are",
            stacklevel=5,
        )
    scale = {"uint8": 255, "uint16": 65535}.get(kind, 1)
    planes = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32) / np.float32(scale))
    alpha = planes[-1:] if channels in (2, 4) else None
    pixels = planes if alpha is None else planes[:-1]
    return Picture(pixels.contiguous(), alpha, 8 if kind == "uint8" else 16, f"array {kind}")


def like(picture: Picture, given: np.ndarray | Tensor) -> Any:
    """A picture as an array of the kind (numpy or torch), layout, number of dimensions and dtype of `given`.

    Floats are clipped to 0..1, unless the picture comes from a file of any range (`Picture.span`).

    Args:
        picture: With the depth of `given`, as `from_array` made it.
        given: The example.
    """
    floats = torch.is_floating_point(given) if isinstance(given, Tensor) else given.dtype.kind == "f"
    planes = [picture.pixels.clamp(0, 1) if picture.span is None else picture.numbers]
    planes += [] if picture.alpha is None else [picture.alpha]
    values = torch.cat(planes).permute(1, 2, 0).numpy() if floats else picture.levels()
    flat = given.ndim == 2 and values.shape[2] == 1
    values = values[:, :, 0] if flat else values
    if isinstance(given, np.ndarray):
        return np.ascontiguousarray(values.astype(given.dtype))
    values = values if flat else np.moveaxis(values, -1, 0)
    return torch.from_numpy(np.ascontiguousarray(values)).to(given.device, given.dtype)


def _as_numpy(given: np.ndarray | Tensor) -> np.ndarray:
    if isinstance(given, np.ndarray):
        return given
    cpu = given.detach().cpu()
    # numpy has no bfloat16.
    found: np.ndarray = (cpu.float() if torch.is_floating_point(cpu) else cpu).numpy()
    return found
