"""What a component's methods must return: real tensors, and a Posterior with a Covariance."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ipt.core.prior import Posterior
from ipt.linalg.covariances import Covariance
from ipt.testing.promises import Shortfall, require

_TORCH = "compute with torch throughout, and return the tensor"
_NOTHING = "return the result at the end of each way through it"
_COMPLEX = "return real numbers: torch.cat((found.real, found.imag), 1), or found.abs() if that is meant"
_MEASURED = (
    "return real numbers: torch.cat((found.real, found.imag), 1), and declare them by "
    "ipt.MeasurementSpec(..., is_complex=True) (ipt.PhysicalUnits)"
)
_POSTERIOR = "return ipt.Posterior(mean, covariance), with Isotropic.like(noisy, deviation) of ipt.linalg.covariances"
_VARIANCE = "give a variance of shape (B, 1, 1, 1), or one that broadcasts to noisy's, as Isotropic.like does"


def real(value: object, what: str) -> Tensor:
    """The value, if it is a tensor of real floating-point numbers.

    Args:
        value: that was returned.
        what: the method, and the name of the value if it returns several.
    """
    if not isinstance(value, Tensor):
        fix = _NOTHING if value is None else _TORCH
        raise Shortfall(f"{what} returned {_kind(value)}, not a tensor.", fix)
    if value.is_complex():
        fix = _MEASURED if what == "forward" else _COMPLEX
        raise Shortfall(f"{what} returned complex numbers ({value.dtype}), not real ones.", fix)
    fix = "return floating-point numbers of the argument's precision: .to(argument.dtype)"
    require(value.is_floating_point(), f"{what} returned {value.dtype}, not floating-point numbers", fix)
    return value


def real_by_name(values: object, method: str) -> dict[str, Tensor]:
    """The values, if they are a mapping of names to real tensors."""
    if not isinstance(values, Mapping):
        fix = 'return a dictionary, {"name": tensor}, at the end of each way through it'
        raise Shortfall(f"{method} returned {_kind(values)}, not a mapping.", fix)
    return {name: real(value, f"{method} {name}") for name, value in values.items()}


def posterior_of(value: object) -> Posterior:
    """The value, if it is a Posterior of a real mean and a Covariance with a real variance."""
    if not isinstance(value, Posterior):
        raise Shortfall(f"posterior returned {_kind(value)}, not an ipt.Posterior.", _POSTERIOR)
    real(value.mean, "posterior's mean")
    for which, covariance in (("covariance", value.covariance), ("prior_covariance", value.prior_covariance)):
        if covariance is None and which == "prior_covariance":
            continue
        if not isinstance(covariance, Covariance):
            raise Shortfall(f"The {which} of posterior is {_kind(covariance)}, not a Covariance.", _POSTERIOR)
        variance = covariance.variance
        is_real = isinstance(variance, Tensor) and variance.is_floating_point()
        require(is_real, f"The variance of posterior's {which} is {_kind(variance)}, not a real tensor", _VARIANCE)
    return value


def fitting(covariance: Covariance, noisy: Tensor, which: str) -> None:
    """Shortfall unless a covariance fits a variable (B, C, H, W)."""
    shapes = tuple(covariance.variance.shape), tuple(noisy.shape)
    try:
        fits = torch.broadcast_shapes(*shapes) == noisy.shape
    except RuntimeError:
        fits = False
    require(fits, f"The variance of posterior's {which} is {shapes[0]}, which does not fit {shapes[1]}", _VARIANCE)
    root = tuple(real(covariance.root(noisy), f"root of posterior's {which}").shape)
    require(root == shapes[1], f"root of posterior's {which} gives {root} for {shapes[1]}", "let it keep the shape")


def _kind(value: object) -> str:
    """The type of a value, with an article."""
    if value is None:
        return "None"
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ in ("builtins", "torch") else f"{kind.__module__}.{kind.__qualname__}"
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
