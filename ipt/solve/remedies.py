"""What a user can change in a solve: advice names only options that its operator, rule and noise model have."""

from __future__ import annotations

from ipt.core.guidance import GuidanceRule
from ipt.core.operator import ParametricOperator
from ipt.operators.compose import Composed
from ipt.operators.frames import Frames
from ipt.plugins.options import signature_of
from ipt.solve.prepare import PreparedImage
from ipt.solve.verdict import Remedies


def remedies_of(prepared: PreparedImage) -> Remedies:
    """What can be changed in the solve of a prepared picture."""
    task, sampling = prepared.task, prepared.sampling
    noise = float(task.noise) if isinstance(task.noise, int | float) else None
    # Of linear light the estimate is no deviation of the picture's values.
    if task.noise is None and prepared.noise_model == "gaussian" and not prepared.linear:
        noise = prepared.noise_of_input
    operator = sampling.solver.operator
    names = operator.parameters(operator.image_shape(sampling.shape))
    return Remedies(
        noise=noise,
        border=_has_border(operator),
        unknown=tuple(name for name in names if name not in sampling.known),
        known=tuple(sampling.known),
        effort=task.samples == 1,
    )


def _has_border(operator: ParametricOperator) -> bool:
    """Whether an operator, or a part of it, has an option `border`."""
    if isinstance(operator, Frames):
        return _has_border(operator.operator)
    if isinstance(operator, Composed):
        return any(map(_has_border, operator.parts))
    return "border" in signature_of(type(operator)).names()


def smaller_steps(rule: GuidanceRule, section: str = "guidance") -> str:
    """The option by which a rule takes smaller steps, "guidance.scale", also of a rule that it wraps; "" if none."""
    if "scale" in signature_of(type(rule)).names():
        return f"{section}.scale"
    wrapped = getattr(rule, "rule", None)
    return smaller_steps(wrapped, f"{section}.rule") if isinstance(wrapped, GuidanceRule) else ""
