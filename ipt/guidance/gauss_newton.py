"""The steps of the proximal rule for any differentiable operator: damped Gauss-Newton, solved by conjugate gradients.

    minimise over u   ||M (y - A(u))||^2 / s^2  +  sum_c (u_c - mean_c)' C_c^-1 (u_c - mean_c)

In the beliefs' own units, u = mean + L z with C = L L', the second term is ||z||^2, and an iteration solves, with
J = M dA/dz,

    (J' J / s^2 + I + damping I) d = J' (y - A) / s^2 - z,

where J and J' are only ever applied to vectors: J' by automatic differentiation, J by differentiating that once more,
or by differences for what can be differentiated only once. A step that does not lower an image's objective enough is
halved for that image, and after three halvings refused, which raises its damping. Every scalar is per image. While the
parameters are solved for, the image's error is noise, and division by s^2 is `ipt.guidance.whitening`.

References:
    Levenberg (1944) and Marquardt (1963); Nocedal, Wright, "Numerical Optimization", chapter 10.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ipt.core.abilities import Belief
from ipt.core.errors import IptError
from ipt.core.observation import Observation
from ipt.core.operator import IMAGE, ParametricOperator, Unknowns, constrained
from ipt.guidance.tangent import Tangent, signs
from ipt.guidance.whitening import Weigh, flat, whitened
from ipt.linalg.conjugate_gradients import conjugate_gradients
from ipt.linalg.covariances import Isotropic
from ipt.linalg.norms import norm

PATTERNS = 4  # from which the spectrum of the image's error is estimated
TRIALS = 4  # of a step: whole, a half, a quarter, an eighth
SHARE = 0.25  # of the fall that the linear forecast promises, for a step to be taken
LINEAR = 1e-3  # share of a step's effect that its linear forecast may miss, for more iterations to be of no use

Predict = Callable[[Unknowns], Tensor]


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
    """The unknown parameters, all together, that best explain the measurement given beliefs about them and the image.

    The objective never rises above its value at the means. What `constrain` or a range cuts off, a measurement
    cannot move: an entry whose mean lies beyond a bound stays there.

    Args:
        operator: any that can be differentiated.
        observation: what was measured.
        image: its mean is taken for the image; what its error amounts to in the measurement counts as noise, of one
            variance where its pixels' errors are independent, else with a spectrum.
        parameters: beliefs before `constrain`, and so is what is returned.
        known: the other parameters.
        iterations: at most.
        cg_iterations: of conjugate gradients in each.

    Raises:
        IptError: the operator cannot be differentiated.
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
    weigh = _image_error(operator, image, valid, observation)
    return _minimise(operator, predict, observation, weigh, _Standard(parameters), iterations, cg_iterations)


@torch.no_grad()
def image_step(
    operator: ParametricOperator,
    observation: Observation,
    image: Belief,
    parameters: Mapping[str, Tensor],
    iterations: int = 3,
    cg_iterations: int = 8,
) -> Tensor:
    """The image that best explains the measurement given a belief about it, (B, C, H, W).

    Where the operator is linear in the image, the first iteration is exact but for what the conjugate gradients leave,
    and it is the last. The objective never rises above its value at the mean. Arguments and errors are those of
    `parameter_step`; parameters: valid ones.
    """
    valid = {name: value.detach() for name, value in parameters.items()}

    def predict(unknowns: Unknowns) -> Tensor:
        return operator.forward(unknowns[IMAGE], **valid)

    _check(operator, observation, operator.forward(image.mean, **valid))
    weigh, beliefs = flat(observation.noise_variance), _Standard({IMAGE: image})
    return _minimise(operator, predict, observation, weigh, beliefs, iterations, cg_iterations)[IMAGE]


def _check(operator: ParametricOperator, observation: Observation, predicted: Tensor) -> None:
    """Evaluated before anything is differentiated, so that an error of the operator's own shows as it is."""
    measurement = observation.measurement
    if predicted.shape != measurement.shape:
        raise IptError(
            f"the operator {type(operator).__name__} predicts {tuple(predicted.shape)} for a measurement of "
            f"{tuple(measurement.shape)}: its image_shape and forward do not agree"
        )


class _Standard:
    """Unknowns as one vector an image, z (B, N): zero at their means, one for a standard deviation."""

    def __init__(self, beliefs: Mapping[str, Belief]):
        self.means = {name: belief.mean.detach() for name, belief in beliefs.items()}
        self.roots = {name: belief.covariance.root for name, belief in beliefs.items()}
        self._origins = {name: belief.covariance.origin(self.means[name]) for name, belief in beliefs.items()}

    def origin(self) -> Tensor:
        return torch.cat([zeros.flatten(1) for zeros in self._origins.values()], 1)

    def unknowns(self, point: Tensor) -> Unknowns:
        pieces = point.split([zeros[0].numel() for zeros in self._origins.values()], 1)
        return {
            name: mean + self.roots[name](piece.reshape(self._origins[name].shape))
            for (name, mean), piece in zip(self.means.items(), pieces, strict=True)
        }


def _image_error(
    operator: ParametricOperator, image: Belief, valid: Mapping[str, Tensor], observation: Observation
) -> Weigh:
    """Division by the noise's variance and what the image's error amounts to in the measurement.

    That is J applied to patterns of +-1 standard deviations (Hutchinson's estimate), the same for every image.
    """
    belief = _Standard({IMAGE: image})
    point = belief.origin()
    fixed = {name: value.detach() for name, value in valid.items()}
    tangent = Tangent.at(point, lambda z: operator.forward(belief.unknowns(z)[IMAGE], **fixed), operator, IMAGE)
    noise_variance, mask = observation.noise_variance, observation.mask
    weights = 1.0 if mask is None else torch.where(mask > 0, mask, 1)
    if isinstance(image.covariance, Isotropic):
        return flat(noise_variance + (weights * tangent.forward(signs(point))).square().mean((1, 2, 3), keepdim=True))
    return whitened(noise_variance, [weights * tangent.forward(signs(point, seed)) for seed in range(PATTERNS)])


def _minimise(
    operator: ParametricOperator,
    predict: Predict,
    observation: Observation,
    weigh: Weigh,
    beliefs: _Standard,
    iterations: int,
    cg_iterations: int,
) -> Unknowns:
    names = ", ".join(beliefs.means)
    point = beliefs.origin()
    cg_iterations = min(cg_iterations, 2 * point.shape[1])
    # Rises within rounding are none: else near the minimum rounding, which a batch changes, would choose the steps.
    slack = 1 + 16 * torch.finfo(point.dtype).eps
    damping = torch.zeros_like(point[:, :1])
    settled = torch.zeros_like(damping, dtype=torch.bool)

    def weighed(value: Tensor) -> Tensor:
        return value if observation.mask is None else observation.mask * value

    target = weighed(observation.measurement)

    def measured(z: Tensor) -> Tensor:
        return weighed(predict(beliefs.unknowns(z)))

    def objective(value: Tensor, z: Tensor) -> Tensor:
        rest = target - value
        data = (rest * weigh(rest)).flatten(1).sum(1, keepdim=True)
        return data + z.square().sum(1, keepdim=True)

    for _ in range(iterations):
        tangent = Tangent.at(point, measured, operator, names)
        height = objective(tangent.value, point)
        downhill = tangent.transposed(weigh(target - tangent.value)) - point
        step = conjugate_gradients(_curvature(tangent, weigh, damping), downhill, None, cg_iterations)
        # An image whose derivatives are not finite stays where it is.
        step = torch.where(torch.isfinite(step).all(1, keepdim=True) & ~settled, step, 0.0)
        promised = (downhill * step).sum(1, keepdim=True)
        moved, pending = point, ~settled
        for trial in range(TRIALS):
            candidate = torch.where(pending, point + step / 2**trial, moved)
            value = measured(candidate)
            enough = slack * height - SHARE / 2**trial * promised
            lower = pending & (objective(value, candidate) <= enough)
            moved, pending = torch.where(lower, candidate, moved), pending & ~lower
            if trial == 0:
                damping = torch.where(lower, damping / 4, damping)
                effect = tangent.forward(step)
                settled = settled | lower & (_length(value - tangent.value - effect) <= LINEAR * _length(effect))
            if not pending.any():
                break
        point = moved
        if settled.all():
            break
        # downhill / step is the curvature that the step met.
        damping = torch.where(pending, 4 * (damping + _length(downhill) / _length(step).clamp(min=1e-12)), damping)
    return beliefs.unknowns(point)


def _curvature(tangent: Tangent, weigh: Weigh, damping: Tensor) -> Callable[[Tensor], Tensor]:
    def apply(vector: Tensor) -> Tensor:
        return tangent.transposed(weigh(tangent.forward(vector))) + (1 + damping) * vector

    return apply


def _length(tensor: Tensor) -> Tensor:
    """(B, 1)."""
    return norm(tensor)[:, None]
