"""The default prior and generator of a parameter, from its `ParameterSpec`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import ipt

if TYPE_CHECKING:
    from ipt.core.operator import ParameterSpec
    from ipt.core.prior import Prior


def usual_prior(spec: ParameterSpec) -> str | Prior:
    """The default prior of a parameter.

    Returns:
        The prior of its specification; else a Gaussian with its `normal` mean and deviation; else a box over its range;
        else "". Texts are as `ipt.build` takes them: "box:low=0.5,high=4.5".
    """
    if isinstance(spec.prior, ipt.Prior) or spec.prior:
        return spec.prior
    if spec.normal is not None:
        return written("gaussian", {"mean": spec.normal[0], "std": spec.normal[1], "units": "physical"})
    return _over_range("box", spec)


def usual_generator(spec: ParameterSpec) -> str:
    """The default generator of a parameter: named, or normal numbers cut to its range, or uniform over it; else ""."""
    if spec.generator:
        return spec.generator
    if spec.normal is not None:
        ends = {} if spec.range is None else dict(zip(("low", "high"), spec.range, strict=True))
        finite = {name: end for name, end in ends.items() if math.isfinite(end)}
        return written("normal", {"mean": spec.normal[0], "std": spec.normal[1], **finite})
    return _over_range("uniform", spec)


def _over_range(name: str, spec: ParameterSpec) -> str:
    if spec.range is None or not all(map(math.isfinite, spec.range)):
        return ""
    return written(name, {"low": spec.range[0], "high": spec.range[1]})


def written(name: str, options: Mapping[str, float | str]) -> str:
    """A component with its options as text, "name:a=1,b=2"."""
    values = {key: value if isinstance(value, str) else repr(float(value)) for key, value in options.items()}
    return f"{name}:{','.join(f'{key}={value}' for key, value in values.items())}"
