"""Proximal guidance: the fast rule. No gradient passes through a network.

At each noise level, for every unknown c,

    minimise  ||y - A(z)||^2 / (2 sigma_n^2)  +  sum_c ||z_c - clean_c||^2 / (2 r_c(sigma)^2)

where clean_c is the network's estimate and r_c its uncertainty. The parameters are solved for first, with the image at
its network's estimate: an image that already fits the data with the present parameters could only confirm them. Then
the image is solved for, given the parameters. An operator's own steps are used where it has them
(`ipt.core.abilities.ExactSteps`), else `ipt.guidance.gauss_newton`. The uncertainty of the one unknown counts as noise
in the step of the other.

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
"""Noise levels, normalized, at which a solve continues after the first doubling of the image, and after later ones
(docs/method.md, "Constants")."""
_SEARCH_NOISE = 2 / 3
"""Factor of the parameters' noise level in the smallest of several images (docs/method.md, "Constants")."""
_LEAST_SPREAD = 0.08
"""Noise level, normalized, below which the image is the mean and not a draw, which would leave grain in the result."""


@dataclass(frozen=True)
class Proximal(GuidanceRule, CoarseToFine, Refining):
    """The networks' estimates weighed against the measurement, without gradients through a network.

    Attributes:
        zeta: share of fresh noise in each transition, 0..1.
        parameter_noise: the parameters' noise level as a share of the image's, above 0 and at most 1. Below 1,
            parameters keep more of the step before than the image does. None: the `noise_ratio` of each ParameterSpec.
        clip: keep the image within 0..1. A wrong kernel would drive it outside, and such an image would confirm the
            kernel.
        coarse_to_fine: begin with an image of half or a quarter of the sides, where operator and priors allow it.
        spread: variance with which the image is drawn, as a share of its posterior variance, 0..1; 0: it is the mean.
            It applies where parameters are unknown, the operator can draw, and a smaller image was solved for before.
        spread_from_start: apply `spread` also where no smaller image was solved for before.
        noise_factor: factor of each `noise_ratio`, above 0, where `parameter_noise` is None.
    """

    zeta: float = 1.0
    parameter_noise: float | None = None
    clip: bool = True
    coarse_to_fine: bool = True
    spread: float = 0.6
    spread_from_start: bool = False
    noise_factor: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.zeta <= 1:
            raise IptError(f"guidance.zeta is within 0..1, not {self.zeta}")
        if not 0 <= self.spread <= 1:
            raise IptError(f"guidance.spread is within 0..1, not {self.spread}")
        if self.noise_factor <= 0:
            raise IptError(f"guidance.noise_factor is above 0, not {self.noise_factor}")
        if self.parameter_noise is not None and not 0 < self.parameter_noise <= 1:
            raise IptError(f"guidance.parameter_noise is above 0 and at most 1, not {self.parameter_noise}")

    @property
    def needs_gradients(self) -> bool:
        return False

    def noise_ratio(self, name: str, spec: ParameterSpec) -> float:
        return self.noise_factor * spec.noise_ratio if self.parameter_noise is None else self.parameter_noise

    def restart(self, doubling: int) -> float | None:
        return _RESTARTS[min(doubling, len(_RESTARTS)) - 1] if self.coarse_to_fine else None

    def _draws(self, step: Step) -> bool:
        return self.spread_from_start and self.spread > 0 and step.sigma > _LEAST_SPREAD

    def searching(self) -> GuidanceRule:
        return replace(self, noise_factor=_SEARCH_NOISE)

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
    """The prior's belief about an unknown, in physical units."""
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
