"""What a parameter usually has, by its specification: a prior to solve with, a generator to simulate with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import ipt

if TYPE_CHECKING:
    from ipt.core.operator import ParameterSpec
    from ipt.core.prior import Prior


def usual_prior(spec: ParameterSpec) -> str | Prior:
    """The prior of a parameter that is given none.

    Returns:
        The one that it names, or has; else a Gaussian of its usual mean and deviation; else a box, its range; "" where
        nothing is said of it. Text is as `ipt.build` takes it: "box:low=0.5,high=4.5".
    """
    if isinstance(spec.prior, ipt.Prior) or spec.prior:
        return spec.prior
    if spec.normal is not None:
        return written("gaussian", {"mean": spec.normal[0], "std": spec.normal[1], "units": "physical"})
    return _over_range("box", spec)


def usual_generator(spec: ParameterSpec) -> str:
    """The generator of a parameter that is given none, likewise; normal numbers are drawn within its range."""
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
