"""Regularised guidance: any rule, with penalties on named unknowns.

After the wrapped rule, each penalised estimate moves to

    argmin_u  ||u - clean||^2 / (2 r(sigma)^2) + weight R(u),

the proximal map of its penalty R, where r is the standard deviation that the unknown's prior states at this noise
level. The penalty acts on the physical quantity before `constrain`: the l1 norm of a constrained kernel is 1 whatever
the kernel, because its sum is.

References:
    BlindDPS (arXiv 2211.10656), section 3.3, adds such terms for kernels (l0, l1).
    Rudin, Osher, Fatemi, "Nonlinear total variation based noise removal algorithms" (1992), solved as in
    Chambolle, "An algorithm for total variation minimization and applications" (2004).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ipt.core.abilities import CoarseToFine, Wrapper, ability
from ipt.core.errors import IptError, Misuse
from ipt.core.guidance import Correction, GuidanceRule, Step
from ipt.core.operator import ParameterSpec
from ipt.core.problem import Problem
from ipt.core.sampling import Schedule, Transition
from ipt.linalg.windows import windowed
from ipt.sampling.refining import Refining

PENALTIES = ("l0", "l1", "tv")


@dataclass(frozen=True)
class Regularized(GuidanceRule, CoarseToFine, Refining, Wrapper):
    """A rule with penalties on unknowns.

    Attributes:
        rule: the wrapped rule.
        penalties: "l0:weight", "l1:weight" or "tv:weight" by unknown, weights from 0 up.

    Raises:
        IptError: a penalty of another form.
    """

    rule: GuidanceRule
    penalties: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, text in self.penalties.items():
            _parsed(name, text)

    @property
    def needs_gradients(self) -> bool:
        return self.rule.needs_gradients

    def allows(self, kind: type) -> bool:
        return ability(self.rule, kind) is not None

    def noise_ratio(self, name: str, spec: ParameterSpec) -> float:
        return self.rule.noise_ratio(name, spec)

    def restart(self, doubling: int) -> float | None:
        rule = ability(self.rule, CoarseToFine)
        return None if rule is None else rule.restart(doubling)

    def refined(self) -> GuidanceRule:
        rule = ability(self.rule, Refining)
        return self if rule is None else replace(self, rule=rule.refined())

    def searching(self) -> GuidanceRule:
        rule = ability(self.rule, Refining)
        return self if rule is None else replace(self, rule=rule.searching())

    def schedule(self, steps: int | None = None) -> Schedule:
        return self.rule.schedule(steps)

    def transition(self) -> Transition:
        return self.rule.transition()

    def correct(self, step: Step, problem: Problem) -> Correction:
        correction = self.rule.correct(step, problem)
        clean = dict(correction.clean)
        for name, text in self.penalties.items():
            if name not in step.clean:
                raise Misuse(f"guidance.penalties names {name!r}; the unknowns are {', '.join(step.clean)}")
            kind, weight = _parsed(name, text)
            normalization, posterior = problem.normalizations[name], step.posteriors[name]
            variance = windowed(posterior.covariance, normalization).scaled(normalization.scale).variance
            estimate = clean.get(name, posterior.mean).detach()
            penalised = _PROXIMAL[kind](normalization.physical(estimate), weight * variance)
            clean[name] = normalization.normalized(penalised, estimate)
        return replace(correction, clean=clean)


def _parsed(name: str, text: str) -> tuple[str, float]:
    """Kind and weight of a penalty; IptError where the text is none."""
    kind, _, number = str(text).partition(":")
    try:
        weight = float(number)
    except ValueError:
        weight = math.nan
    if kind not in PENALTIES or not 0 <= weight < math.inf:
        raise IptError(
            f"penalty {text!r} on {name!r}: write one of {', '.join(PENALTIES)}, a colon and a weight from 0 up: l1:0.1"
        )
    return kind, weight


def soft_threshold(value: Tensor, amount: Tensor) -> Tensor:
    """The proximal map of amount * ||u||_1, amount (B, 1, 1, 1)."""
    return value.sign() * (value.abs() - amount).clamp(min=0)


def hard_threshold(value: Tensor, amount: Tensor) -> Tensor:
    """The proximal map of amount * ||u||_0: entries below sqrt(2 amount) vanish, the others stay."""
    return torch.where(value.abs() < (2 * amount).sqrt(), torch.zeros_like(value), value)


def smooth_total_variation(value: Tensor, amount: Tensor, iterations: int = 30) -> Tensor:
    """The proximal map of amount * TV(u), isotropic, channel by channel (Chambolle's dual iteration)."""
    divisor = torch.where(amount > 0, amount, 1.0)
    dual = torch.zeros(2, *value.shape, dtype=value.dtype, device=value.device)
    for _ in range(iterations):
        slope = _gradient(_divergence(dual) - value / divisor)
        dual = (dual + 0.25 * slope) / (1 + 0.25 * slope.square().sum(0).sqrt())
    return value - amount * _divergence(dual)


def _gradient(value: Tensor) -> Tensor:
    """Forward differences, (2, B, C, H, W): down, then right; 0 at the last row and column."""
    down, right = torch.zeros_like(value), torch.zeros_like(value)
    down[..., :-1, :] = value[..., 1:, :] - value[..., :-1, :]
    right[..., :-1] = value[..., 1:] - value[..., :-1]
    return torch.stack([down, right])


def _divergence(field: Tensor) -> Tensor:
    """The negative adjoint of `_gradient`, (B, C, H, W)."""
    down, right = field[0].clone(), field[1].clone()
    down[..., -1, :] = 0
    right[..., -1] = 0
    down[..., 1:, :] -= field[0][..., :-1, :]
    right[..., 1:] -= field[1][..., :-1]
    return down + right


_PROXIMAL = {"l0": hard_threshold, "l1": soft_threshold, "tv": smooth_total_variation}
