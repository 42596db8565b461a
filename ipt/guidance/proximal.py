"""Proximal guidance: the fast rule. No gradient passes through a network.

At each noise level the networks' estimates and the measurement are weighed against each other,

    minimise  ||y - A(z)||^2 / (2 sigma_n^2)  +  sum_c ||z_c - clean_c||^2 / (2 r_c(sigma)^2),

the parameters first, with the image at its network's estimate (the image that fits the data would make the parameters
their own proof), then the image given the parameters. The operator's own steps serve where it has them, Gauss-Newton
with conjugate gradients elsewhere; what is uncertain in the one unknown counts as noise for the other.

References:
    Zhu et al., "Denoising Diffusion Models for Plug-and-Play Image Restoration" (arXiv 2305.08995).
    Laroche, Almansa, Coupete, "Fast Diffusion EM" (arXiv 2309.00287), which alternates the same two steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from ipt.core.abilities import Belief, CoarseToFine, ExactSteps, ability
from ipt.core.errors import IptError
from ipt.core.guidance import Correction, GuidanceRule, Step
from ipt.core.operator import IMAGE, ParameterSpec, Unknowns
from ipt.core.problem import Problem
from ipt.core.sampling import Schedule, Transition
from ipt.guidance import gauss_newton
from ipt.linalg.windows import windowed
from ipt.sampling.refining import Refining
from ipt.sampling.schedules import Karras
from ipt.sampling.transitions import Renoise

_RESTARTS = (1.0, 0.5)
"""Noise levels at which a solve goes on after the first doubling, and after others (docs/method.md, "Constants")."""
_LEAST_SPREAD = 0.08
"""Noise level from which on nothing is drawn: what is left would be grain in the result."""


@dataclass(frozen=True)
class Proximal(GuidanceRule, CoarseToFine, Refining):
    """Networks' estimates and the measurement weighed against each other, without gradients through a network.

    Attributes:
        zeta: share of fresh noise a step, 0..1.
        parameter_noise: the parameters' noise level as a share of the image's, above 0 and at most 1; below 1 they
            remember more of what they were at the step before, while the image starts afresh. None: what the
            ParameterSpec of each says.
        clip: keep the image within 0..1, as pictures are; a wrong kernel would drive it out, and an image out there
            proves it right.
        coarse_to_fine: begin with a picture of half the sides, or a quarter, where operator and priors allow it.
        spread: share of the image's variance, given prior and measurement, with which it is drawn, 0..1: at 0 it is the
            mean. With parameters unknown, where a smaller image was solved for before, and the operator can draw.
        spread_from_start: likewise where none was.
    """

    zeta: float = 1.0
    parameter_noise: float | None = None
    clip: bool = True
    coarse_to_fine: bool = True
    spread: float = 0.6
    spread_from_start: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.zeta <= 1:
            raise IptError(f"guidance.zeta is within 0..1, not {self.zeta}")
        if not 0 <= self.spread <= 1:
            raise IptError(f"guidance.spread is within 0..1, not {self.spread}")
        if self.parameter_noise is not None and not 0 < self.parameter_noise <= 1:
            raise IptError(f"guidance.parameter_noise is above 0 and at most 1, not {self.parameter_noise}")

    @property
    def needs_gradients(self) -> bool:
        return False

    def noise_ratio(self, name: str, spec: ParameterSpec) -> float:
        return spec.noise_ratio if self.parameter_noise is None else self.parameter_noise

    def restart(self, doubling: int) -> float | None:
        return _RESTARTS[min(doubling, len(_RESTARTS)) - 1] if self.coarse_to_fine else None

    def _draws(self, step: Step) -> bool:
        return self.spread_from_start and self.spread > 0 and step.sigma > _LEAST_SPREAD

    def refined(self) -> GuidanceRule:
        return replace(self, spread_from_start=True)

    def schedule(self, steps: int | None = None) -> Schedule:
        return Karras(60 if steps is None else steps, sigma_max=10.0, sigma_min=0.03)

    def transition(self) -> Transition:
        return Renoise(self.zeta)

    def correct(self, step: Step, problem: Problem) -> Correction:
        if problem.observation.gain is not None:
            problem = replace(problem, observation=problem.observation.at(problem.predict(step.clean)))
        beliefs = {name: _belief(name, step, problem) for name in step.posteriors}
        image = beliefs.pop(IMAGE)
        loose = _parameter_step(problem, image, beliefs) if beliefs else {}
        if beliefs and self._draws(step) and step.random is not None:
            white = step.random.like("image estimate", image.mean)
            image = replace(image, white=math.sqrt(self.spread) * white)
        solved = _image_step(problem, image, problem.valid(loose), beliefs)
        found = {IMAGE: solved.clamp(0, 1) if self.clip else solved, **loose}
        return Correction(
            {name: problem.normalizations[name].normalized(found[name], step.clean[name]) for name in found}
        )


def _belief(name: str, step: Step, problem: Problem) -> Belief:
    """What the prior makes of an unknown, in physical units."""
    posterior, normalization = step.posteriors[name], problem.normalizations[name]
    scale, prior = normalization.scale, posterior.prior_covariance
    return Belief(
        mean=normalization.physical(posterior.mean),
        covariance=windowed(posterior.covariance, normalization).scaled(scale),
        sigma=abs(scale) * step.levels[name],
        prior_covariance=None if prior is None else windowed(prior, normalization).scaled(scale),
    )


def _parameter_step(problem: Problem, image: Belief, beliefs: Mapping[str, Belief]) -> Unknowns:
    exact = ability(problem.operator, ExactSteps)
    found = None if exact is None else exact.parameter_step(problem.observation, image, beliefs, problem.known)
    if found is None:
        return gauss_newton.parameter_step(problem.operator, problem.observation, image, beliefs, problem.known)
    return found


def _image_step(
    problem: Problem, image: Belief, parameters: Mapping[str, Tensor], beliefs: Mapping[str, Belief]
) -> Tensor:
    exact = ability(problem.operator, ExactSteps)
    found = None if exact is None else exact.image_step(problem.observation, image, parameters, beliefs)
    if found is None:
        return gauss_newton.image_step(problem.operator, problem.observation, image, parameters)
    return found
