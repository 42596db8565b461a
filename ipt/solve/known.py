"""Known parameters: read, scaled with the picture, checked against the operator's `ParameterSpec`s, and batched."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from ipt.core.abilities import Framed, Resizable, ability, framed_shape
from ipt.core.errors import IptError, Misuse
from ipt.core.operator import ParameterSpec, ParametricOperator
from ipt.core.problem import check_valid
from ipt.images.fit import Fitted
from ipt.images.parameters import read_parameter
from ipt.operators.compose import nominal_parameters
from ipt.plugins.suggestions import advice

_LEAST_TILT = 1e-3
"""Pixels. A displacement field that nowhere exceeds it is taken to be in another unit."""


def read_known(files: Mapping[str, Path], operator: ParametricOperator) -> dict[str, Tensor]:
    """The known parameters of files by name, (C, H, W), or (frames, C, H, W).

    Raises:
        IptError: a file cannot be read, or `check_values` refuses what it holds.
    """
    found = {name: read_parameter(file) for name, file in files.items()}
    check_values(found, files, operator)
    return found


def check_values(known: Mapping[str, Tensor], sources: Mapping[str, object], operator: ParametricOperator) -> None:
    """Check what does not depend on the picture.

    Args:
        known: by name, (C, H, W), or (frames, C, H, W).
        sources: the files that they were read from, by name, for messages; arrays are called by the parameter's name.
        operator: of a single frame.

    Raises:
        IptError: values along one axis for a parameter of two, or values below 0 where the parameter has none.
    """
    try:
        specs = nominal_parameters(operator) if known else {}
    except IptError:
        # An operator that takes no example is met by the picture.
        return
    for name, value in known.items():
        if (spec := specs.get(name)) is None:
            continue
        source = sources.get(name)
        where = str(source) if isinstance(source, str | os.PathLike) else f"the known {name}"
        what = f"{name} ({spec.meaning})"
        if value.ndim == 3 and min(spec.shape[1:]) > 1 and value.shape[1:] == (1, 1) and len(value) > spec.shape[0]:
            raise IptError(
                f"{where} holds {len(value)} values along one axis, and the {what} has two, (height, width); "
                f"save a row as values[None, :], a column as values[:, None]"
            )
        if bool((value < 0).any()) and value.shape[-3] == spec.shape[0]:
            _check_signs(name, value if value.ndim == 4 else value[None], operator, specs, f"{where} is no {what}")


def _check_signs(
    name: str, value: Tensor, operator: ParametricOperator, specs: Mapping[str, ParameterSpec], what: str
) -> None:
    """IptError where the operator's constraint turns values below 0 into something else."""
    try:
        check_valid({name: value}, operator, specs)
    except IptError:
        below = int((value < 0).sum())
        raise IptError(
            f"{what}: {below} of its {value.numel()} values are below 0, the least {float(value.min()):.3g}; "
            f"give values from 0 up"
        ) from None


def checked(
    known: Mapping[str, Tensor], operator: ParametricOperator, image_shape: tuple[int, ...], frames: int = 1
) -> dict[str, Tensor]:
    """Check known parameters and bring them into the shape that the solver takes.

    Args:
        known: by name, (C, H, W), the same for all frames, or (frames, C, H, W).
        operator: of a single frame.
        image_shape: (C, H, W).
        frames: number of exposures.

    Returns:
        By name, (1, frames * C, H, W), or (1, C, H, W) of a parameter that all frames share.

    Raises:
        IptError: the operator has no such parameter, or another number of channels; the number of frames is another;
            it is larger than the image; a displacement field is of another size than the image, not in pixels, or
            points beyond the image.
    """
    specs = operator.parameters(image_shape) if known else {}
    found = {}
    for name, value in known.items():
        if name not in specs:
            raise Misuse(f"the operator has no parameter {name!r}{advice(name, specs, 'parameters')}")
        each = value if value.ndim == 4 else value[None].expand(frames, *value.shape)
        if len(each) != frames:
            raise IptError(
                f"the known {name} is of {len(each)} frames, and {_count(frames)}; give one for each, or one for all"
            )
        each = _extended(specs[name], each, operator, image_shape)
        _check(name, specs[name], each, image_shape, frames)
        if specs[name].shared:
            if not bool((each == each[:1]).all()):
                raise IptError(
                    f"all frames share one {name}, and the known ones differ; give one, or a {name} for each frame to "
                    f"an operator that has them (turbulence: operator.kernels=each)"
                )
            each = each[:1]
        found[name] = each.flatten(0, 1)[None]
    return found


def scaled(
    operator: ParametricOperator, known: Mapping[str, Tensor], fitted: Fitted
) -> tuple[ParametricOperator, Mapping[str, Tensor]]:
    """Scale known parameters as the picture was scaled.

    Args:
        operator: of a single frame.
        known: by name, (C, H, W) or (frames, C, H, W).
        fitted: how the picture was fitted to the prior.

    Returns:
        The operator for parameters of these sizes, and the parameters.

    Raises:
        IptError: the picture was resized, and the operator cannot scale its parameters.
    """
    resizable = ability(operator, Resizable)
    if not known or (resizable is None and not fitted.side):
        return operator, known
    if resizable is None:
        raise IptError(
            f"{', '.join(known)} cannot be scaled with the picture; choose fit=tile, or a picture of the prior's size"
        )
    each = {name: value if value.ndim == 4 else value[None] for name, value in known.items()}
    if fitted.side:
        each = resizable.rescaled(each, fitted.pixels.shape[-1] / fitted.side)
    each = {name: value if known[name].ndim == 4 else value[0] for name, value in each.items()}
    return resizable.resized({name: value[None] for name, value in each.items()}), each


def _extended(spec: ParameterSpec, each: Tensor, operator: ParametricOperator, image_shape: tuple[int, ...]) -> Tensor:
    """A field (frames, C, H, W) of the frame's size, padded by its edge values to the size of the image."""
    framed, sides = ability(operator, Framed), tuple(each.shape[-2:])
    if framed is None or spec.shape[-2:] != image_shape[-2:] or sides != framed_shape(operator, image_shape)[-2:]:
        return each
    rows, columns = framed.frame(image_shape)
    (height, width) = image_shape[-2:]
    return F.pad(each, (columns.start, width - columns.stop, rows.start, height - rows.stop), mode="replicate")


def _check(name: str, spec: ParameterSpec, each: Tensor, image_shape: tuple[int, ...], frames: int) -> None:
    """IptError where a parameter's (frames, C, H, W) channels, size or displacements are not possible."""
    height, width = image_shape[1:]
    is_field = spec.unit == "px" and spec.shape == (2, height, width)
    if each.shape[1] != spec.shape[0] or (is_field and each.shape[1:] != spec.shape):
        stacked = f", or {(frames, *spec.shape)} for the frames" if frames > 1 else ""
        shape = tuple(each.shape[1:])
        raise IptError(
            f"the known {name} is of shape {shape}; give one of the operator's, {tuple(spec.shape)}{stacked}"
        )
    if each.shape[-2] > height or each.shape[-1] > width:
        raise IptError(
            f"the known {name} is {each.shape[-1]} x {each.shape[-2]} px, larger than the picture "
            f"({width} x {height}); crop it, or give a larger picture"
        )
    if not is_field:
        return
    top = float(each.abs().max())
    if top < _LEAST_TILT:
        raise IptError(f"the known {name} is nowhere above {top:.1g} px; give it in pixels (not radians or metres)")
    if top > min(height, width) / 2:
        raise IptError(
            f"the known {name} reaches {top:.4g} px, beyond a picture of {width} x {height} px; give it in pixels, "
            f"vertical then horizontal"
        )


def _count(frames: int) -> str:
    return "the input is one picture" if frames == 1 else f"the input has {frames}"
