"""The steps of the proximal rule for any differentiable operator: damped Gauss-Newton with conjugate gradients.

    minimise over u   ||M (y - A(u))||^2 / s^2  +  sum_c (u_c - mean_c)' C_c^-1 (u_c - mean_c)

With C = L L' and whitened unknowns z, u = mean + L z, the second term is ||z||^2. An iteration solves, with J = M
dA/dz,

    (J' J / s^2 + I + damping I) d = J' (y - A) / s^2 - z

for the step d. J and J' are only applied to vectors (`ipt.guidance.tangent`). A step that does not lower an image's
objective enough is halved for that image. After three halvings it is refused, which raises the image's damping. Every
scalar is per image. While the parameters are solved for, the image's error counts as noise, and 1 / s^2 is an inverse
covariance (`ipt.guidance.whitening`).

References:
    Levenberg (1944) and Marquardt (1963); Nocedal, Wright, "Numerical Optimization", chapter 10.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ipt.core.abilities import Belief
from ipt.core.errors import IptError
from ipt.core.observation import Observation
from ipt.core.operator import IMAGE, ParametricOperator, Unknowns, constrained
from ipt.guidance.objective import Objective, Whitened
from ipt.guidance.tangent import Tangent, random_signs
from ipt.guidance.whitening import InverseCovariance, correlated, white
from ipt.linalg.conjugate_gradients import conjugate_gradients
from ipt.linalg.covariances import Isotropic
from ipt.linalg.norms import norm

PATTERNS = 4
"""Random patterns from which the spectrum of the image's error is estimated."""
TRIALS = 4
"""Lengths of a step that are tried: whole, a half, a quarter, an eighth."""
SHARE = 0.25
"""Share of the decrease that the linear model predicts, for a step to be accepted (Armijo's condition)."""
LINEAR = 1e-3
"""Relative error of the linear prediction of a whole step below which further iterations are useless."""


@torch.no_grad()
def parameter_step(
    operator: ParametricOperator,
    observation: Observation,
    image: Belief,
    parameters: Mapping[str, Belief],
    known: Mapping[str, Tensor],
    iterations: int = 3,
    cg_iterations: int = 10,
) -> Unknowns:
    """The unknown parameters that best explain the measurement, given beliefs about them and the image.

    All are solved for together. The objective never rises above its value at the means. A measurement cannot move what
    `constrain` or a range cuts off: an entry whose mean lies beyond a bound stays there.

    Args:
        operator: any operator that can be differentiated.
        observation: what was measured.
        image: belief about the image. Its mean is taken as the image. The effect of its error on the measurement counts
            as noise: white where the errors of pixels are independent, else with a spectrum.
        parameters: beliefs about the unknown parameters, before `constrain`.
        known: the other parameters, valid.
        iterations: most Gauss-Newton iterations.
        cg_iterations: conjugate gradient iterations in each of them.

    Returns:
        The unknown parameters by name, before `constrain`.

    Raises:
        IptError: the operator cannot be differentiated, or predicts another shape than the measurement's.
    """
    if not parameters:
        return {}
    picture = image.mean.detach()
    given = {name: value.detach() for name, value in known.items()}
    specs = operator.parameters(tuple(picture.shape[1:]))

    def predict(unknowns: Unknowns) -> Tensor:
        return operator.forward(picture, **constrained(operator, specs, {**unknowns, **given}))

    means = {name: belief.mean.detach() for name, belief in parameters.items()}
    valid = constrained(operator, specs, {**means, **given})
    _check(operator, observation, operator.forward(picture, **valid))
    inverse_covariance = _noise_and_image_error(operator, image, valid, observation)
    objective = Objective(operator, predict, observation, inverse_covariance, Whitened(parameters))
    return _minimise(objective, iterations, cg_iterations)


@torch.no_grad()
def image_step(
    operator: ParametricOperator,
    observation: Observation,
    image: Belief,
    parameters: Mapping[str, Tensor],
    iterations: int = 3,
    cg_iterations: int = 8,
) -> Tensor:
    """The image that best explains the measurement, given a belief about it and all parameters, (B, C, H, W).

    The objective never rises above its value at the mean. Where the operator is linear in the image, the first
    iteration is exact up to the conjugate gradients' residual, and is the last.

    Args:
        operator: any operator that can be differentiated.
        observation: what was measured.
        image: belief about the image.
        parameters: all parameters, valid.
        iterations: as in `parameter_step`.
        cg_iterations: as in `parameter_step`.

    Raises:
        IptError: as in `parameter_step`.
    """
    valid = {name: value.detach() for name, value in parameters.items()}

    def predict(unknowns: Unknowns) -> Tensor:
        return operator.forward(unknowns[IMAGE], **valid)

    _check(operator, observation, operator.forward(image.mean, **valid))
    noise = white(observation.noise_variance)
    objective = Objective(operator, predict, observation, noise, Whitened({IMAGE: image}))
    return _minimise(objective, iterations, cg_iterations)[IMAGE]


def _check(operator: ParametricOperator, observation: Observation, predicted: Tensor) -> None:
    """IptError where the prediction has another shape than the measurement.

    The caller predicts before anything is differentiated, so that an operator's own errors are raised unchanged.
    """
    measurement = observation.measurement
    if predicted.shape != measurement.shape:
        raise IptError(
            f"the operator {type(operator).__name__} predicts {tuple(predicted.shape)} for a measurement of "
            f"{tuple(measurement.shape)}: it measures nothing of that shape, or its image_shape and forward do not "
            f"agree"
        )


def _noise_and_image_error(
    operator: ParametricOperator, image: Belief, valid: Mapping[str, Tensor], observation: Observation
) -> InverseCovariance:
    """The inverse covariance of the noise plus the image's error as it shows in the measurement.

    The latter is estimated from J applied to random patterns of +-1 standard deviations (Hutchinson), the same patterns
    for every image.
    """
    belief = Whitened({IMAGE: image})
    point = belief.origin()
    fixed = {name: value.detach() for name, value in valid.items()}
    tangent = Tangent.at(point, lambda z: operator.forward(belief.unknowns(z)[IMAGE], **fixed), operator, IMAGE)
    noise_variance, mask = observation.noise_variance, observation.mask
    weights = 1.0 if mask is None else torch.where(mask > 0, mask, 1)
    if isinstance(image.covariance, Isotropic):
        error = weights * tangent.forward(random_signs(point))
        return white(noise_variance + error.square().mean((1, 2, 3), keepdim=True))
    errors = [weights * tangent.forward(random_signs(point, seed)) for seed in range(PATTERNS)]
    return correlated(noise_variance, errors)


def _minimise(objective: Objective, iterations: int, cg_iterations: int) -> Unknowns:
    """Damped Gauss-Newton from the means; an image whose step has failed or settled does not move any more."""
    point = objective.beliefs.origin()
    cg_iterations = min(cg_iterations, 2 * point.shape[1])
    damping = torch.zeros_like(point[:, :1])
    settled = torch.zeros_like(damping, dtype=torch.bool)
    for _ in range(iterations):
        tangent = objective.tangent(point)
        descent = objective.descent(tangent, point)
        step = conjugate_gradients(objective.curvature(tangent, damping), descent, None, cg_iterations)
        # An image whose derivatives are not finite stays where it is.
        step = torch.where(torch.isfinite(step).all(1, keepdim=True) & ~settled, step, 0.0)
        promised = (descent * step).sum(1, keepdim=True)
        found = _line_search(objective, tangent, point, step, promised, ~settled)
        damping = torch.where(found.whole, damping / 4, damping)
        effect = tangent.forward(step)
        missed = _length(found.predicted - tangent.value - effect)
        settled = settled | found.whole & (missed <= LINEAR * _length(effect))
        point = found.point
        if settled.all():
            break
        # |descent| / |step| is the curvature along the step.
        raised = 4 * (damping + _length(descent) / _length(step).clamp(min=1e-12))
        damping = torch.where(found.failed, raised, damping)
    return objective.beliefs.unknowns(point)


@dataclass(frozen=True)
class _Searched:
    """Where a line search ended.

    Attributes:
        point: the new point, (B, N).
        whole: images that took the whole step, (B, 1).
        failed: images that took no step, (B, 1).
        predicted: the prediction after the whole step, (B, C, H, W).
    """

    point: Tensor
    whole: Tensor
    failed: Tensor
    predicted: Tensor


def _line_search(
    objective: Objective, tangent: Tangent, point: Tensor, step: Tensor, promised: Tensor, active: Tensor
) -> _Searched:
    """Halve each image's step until the objective falls by enough of what was promised.

    Args:
        objective: what is minimised.
        tangent: at the point.
        point: where the step starts, (B, N).
        step: (B, N).
        promised: decrease that the linear model predicts for the whole step, (B, 1).
        active: images that may move, (B, 1).
    """
    height = objective.value(tangent.value, point)
    # An increase within rounding error is none. Otherwise rounding, which depends on the batch, would decide near the
    # minimum.
    slack = 1 + 16 * torch.finfo(point.dtype).eps
    moved, pending = point, active
    whole, after_whole = active, tangent.value
    for trial in range(TRIALS):
        candidate = torch.where(pending, point + step / 2**trial, moved)
        predicted = objective.predicted(candidate)
        enough = slack * height - SHARE / 2**trial * promised
        lower = pending & (objective.value(predicted, candidate) <= enough)
        moved, pending = torch.where(lower, candidate, moved), pending & ~lower
        if trial == 0:
            whole, after_whole = lower, predicted
        if not pending.any():
            break
    return _Searched(moved, whole, pending, after_whole)


def _length(tensor: Tensor) -> Tensor:
    """Norm of each image, (B, 1)."""
    return norm(tensor)[:, None]
