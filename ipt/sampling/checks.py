"""What is refused before a solve, because it would fail in the middle of it or give nonsense."""

from __future__ import annotations

from torch import Tensor

from ipt.core.abilities import PhysicalUnits, ability
from ipt.core.errors import IptError
from ipt.core.guidance import GuidanceRule
from ipt.core.operator import IMAGE, ParametricOperator
from ipt.core.problem import Problem

_FAR = 10.0
"""Mean absolute value of a measurement above which it is of another scale than 0..1, such as 0..255."""


def check_scale(operator: ParametricOperator, measurement: Tensor) -> None:
    """IptError where a picture (B, C, H, W) is of another scale than 0..1."""
    if ability(operator, PhysicalUnits) is None and (measurement.abs().flatten(1).mean(1) > _FAR).any():
        raise IptError(
            f"the measurement runs from {float(measurement.min()):.4g} to {float(measurement.max()):.4g}; scale it to "
            f"0..1, or let the operator say what it measures (ipt.PhysicalUnits)"
        )


def check_differentiable(rule: GuidanceRule, problem: Problem) -> None:
    """IptError where an unknown or its prior cannot be differentiated; for rules that need gradients."""
    named = type(rule).__name__
    for name, prior in problem.priors.items():
        if name != IMAGE and problem.specs[name].discrete:
            raise IptError(
                f"{name!r} goes in steps, and {named} differentiates in every unknown; choose guidance=proximal, or "
                f"give its value (known={name}=FILE.npy)"
            )
        inner: object = prior
        while inner is not None:
            if not getattr(inner, "differentiable", True):
                raise IptError(
                    f"the prior of {name!r}, {type(inner).__name__}, is not differentiable, and {named} differentiates "
                    f"through priors; choose guidance=proximal, or another prior"
                )
            # A prior that wraps another has it as its attribute `prior`.
            inner = getattr(inner, "prior", None)
