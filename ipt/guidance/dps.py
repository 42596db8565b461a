"""Diffusion posterior sampling: after each transition, a step down the residual's gradient, through the priors.

    z'_c  <-  z'_c - s sqrt((1 + sigma^2)(1 + sigma_next^2)) grad_{z_c} || y - A(clean) ||      for every unknown c

The square root translates the published step, which is taken on x_vp = z / sqrt(1 + sigma^2), to z. As published, the
norm is that of images in -1..1. Pixels with more noise have lower weights, of mean square 1 (`ipt.core.observation`).

References:
    Chung et al., "Diffusion Posterior Sampling for General Noisy Inverse Problems" (arXiv 2209.14687), algorithm 1; for
    several unknowns BlindDPS (arXiv 2211.10656), algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ipt.core.errors import IptError
from ipt.core.guidance import Correction, GuidanceRule, Step
from ipt.core.operator import IMAGE
from ipt.core.problem import Problem
from ipt.core.sampling import Schedule, Transition
from ipt.linalg.norms import norm
from ipt.sampling.schedules import VP
from ipt.sampling.transitions import Ancestral

SIZES = ("constant", "sqrt-abar")


@dataclass(frozen=True)
class DPS(GuidanceRule):
    """Gradient steps on the norm of the residual, through the priors.

    Attributes:
        scale: the published step size s, for all unknowns or for each by name.
        size: "constant" (the paper) or "sqrt-abar", which multiplies the step by sqrt(abar_t) = 1 / sqrt(1 + sigma^2)
            (the authors' release).
    """

    scale: float | Mapping[str, float] = 0.3
    size: str = "constant"

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise IptError(f"size is one of {', '.join(SIZES)}, not {self.size!r}")
        for scale in self.scale.values() if isinstance(self.scale, Mapping) else [self.scale]:
            try:
                float(scale)
            except (TypeError, ValueError):
                raise IptError(f"scale is a number, or one for each unknown, not {scale!r}") from None

    @property
    def needs_gradients(self) -> bool:
        return True

    def schedule(self, steps: int | None = None) -> Schedule:
        return VP(steps)

    def transition(self) -> Transition:
        return Ancestral("learned")

    def correct(self, step: Step, problem: Problem) -> Correction:
        # For noise of counts the weights are those of the measurement, as published. Weights of the estimates would
        # jump in early steps.
        observation = problem.observation.at(problem.observation.measurement)
        distance = norm(observation.residual(problem.predict(step.clean))) / problem.normalizations[IMAGE].scale
        names = list(step.noisy)
        # The gradient of the sum is that of each image, because no distance depends on another image's unknowns.
        gradients = torch.autograd.grad(distance.sum(), [step.noisy[name] for name in names])
        translated = math.sqrt((1 + step.sigma**2) * (1 + step.sigma_next**2))
        if self.size == "sqrt-abar":
            translated /= math.sqrt(1 + step.sigma**2)
        shift = {}
        for name, gradient in zip(names, gradients, strict=True):
            shift[name] = -self._scale(name) * translated * gradient
        return Correction(shift=shift)

    def _scale(self, name: str) -> float:
        if isinstance(self.scale, Mapping):
            if name not in self.scale:
                raise IptError(f"guidance.scale names {', '.join(self.scale)}; the unknown {name!r} needs one too")
            return float(self.scale[name])
        return float(self.scale)
