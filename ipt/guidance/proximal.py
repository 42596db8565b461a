"""Proximal guidance: the fast rule. No gradient passes through a network.

At each noise level the networks' estimates and the measurement are weighed against each other,

    minimise  ||y - A(z)||^2 / (2 sigma_n^2)  +  sum_c ||z_c - clean_c||^2 / (2 r_c(sigma)^2),

the parameters first, with the image at its network's estimate (the image that fits the data would make the parameters
their own proof), then the image given the parameters. The operator's own steps serve where it has them, Gauss-Newton
with conjugate gradients elsewhere; what is uncertain in the one unknown counts as noise for the other.

Relatives: Zhu et al., "Denoising Diffusion Models for Plug-and-Play Image Restoration" (arXiv 2305.08995); Laroche,
Almansa, Coupete, "Fast Diffusion EM" (arXiv 2309.00287) alternates the same two steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ipt.core.charts import Chart
from ipt.core.errors import IptError
from ipt.core.interfaces import IMAGE, Correction, Gaussian, GuidanceRule, Spread, Step, Transition, Unknowns
from ipt.core.problem import Problem
from ipt.core.schedules import Karras, Schedule
from ipt.core.transitions import Renoise
from ipt.guidance import gauss_newton

_KERNEL_NOISE, _PARAMETER_NOISE = 0.3, 0.125
"""Chosen by the results of whole solves, the first on 24 validation faces with motion blur."""
_RESTARTS = (1.0, 0.5)
"""Chosen likewise, on 5 synthetic faces and 8 photographs of 256x256 pixels with kernels of 48x48."""


@dataclass(frozen=True)
class Proximal(GuidanceRule):
    """zeta: share of fresh noise a step. parameter_noise: the parameters' noise level as a share of the image's; below
    1 they remember more of what they were at the step before, while the image starts afresh. None: .3 for a blur's
    kernel, .125 for all others. clip: keep the image within 0..1, as pictures are; a wrong kernel would drive it out,
    and an image out there proves it right. coarse_to_fine: begin with a picture of half the sides, or a quarter, where
    operator and priors allow it.
    """

    zeta: float = 1.0
    parameter_noise: float | None = None
    clip: bool = True
    coarse_to_fine: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.zeta <= 1:
            raise IptError(f"guidance.zeta is within 0..1, not {self.zeta}")
        if self.parameter_noise is not None and not 0 < self.parameter_noise <= 1:
            raise IptError(f"guidance.parameter_noise is above 0 and at most 1, not {self.parameter_noise}")

    @property
    def needs_gradients(self) -> bool:
        return False

    def noise_ratio(self, name: str) -> float:
        if name == IMAGE:
            return 1.0
        if self.parameter_noise is not None:
            return self.parameter_noise
        return _KERNEL_NOISE if name == "kernel" else _PARAMETER_NOISE

    def restart(self, doubling: int) -> float | None:
        return _RESTARTS[min(doubling, len(_RESTARTS)) - 1] if self.coarse_to_fine else None

    def schedule(self, steps: int | None = None) -> Schedule:
        return Karras(100 if steps is None else steps, sigma_max=10.0, sigma_min=0.03)

    def transition(self) -> Transition:
        return Renoise(self.zeta)

    def correct(self, step: Step, problem: Problem) -> Correction:
        beliefs = {name: self._belief(name, step, problem) for name in step.clean}
        image = beliefs.pop(IMAGE)
        noise_variance = problem.noise.square()
        loose = self._parameters(problem, noise_variance, image, beliefs) if beliefs else {}
        valid = problem.operator.constrain({**loose, **problem.known})
        solved = problem.operator.image_step(problem.measurement, noise_variance, image, valid, beliefs)
        if solved is None:
            solved = gauss_newton.image_step(problem.operator, problem.measurement, noise_variance, image, valid)
        found = {IMAGE: solved.clamp(0, 1) if self.clip else solved, **loose}
        return Correction(clean={name: problem.charts[name].normalised(value) for name, value in found.items()})

    def _belief(self, name: str, step: Step, problem: Problem) -> Gaussian:
        chart = problem.charts[name]
        mean = chart.physical(step.clean[name])
        variance = (chart.scale * step.uncertainty[name]) ** 2
        level = abs(chart.scale) * step.levels[name]
        spread, prior = (
            _scaled(found[name], chart) if name in found else None for found in (step.spreads, step.prior_spreads)
        )
        return Gaussian(mean, torch.full_like(mean[:, :1, :1, :1], variance), level, spread, prior)

    def _parameters(
        self, problem: Problem, noise_variance: torch.Tensor, image: Gaussian, beliefs: Mapping[str, Gaussian]
    ) -> Unknowns:
        found = problem.operator.parameter_step(problem.measurement, noise_variance, image, beliefs, problem.known)
        if found is None:
            found = gauss_newton.parameter_step(
                problem.operator, problem.measurement, noise_variance, image, beliefs, problem.known
            )
        return found


def _scaled(spread: Spread, chart: Chart) -> Spread:
    """In physical units."""
    return Spread(lambda v: chart.scale * spread.forward(v), lambda u: spread.transposed(chart.scale * u))
