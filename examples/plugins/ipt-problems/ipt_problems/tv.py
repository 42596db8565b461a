"""The classical pair: total variation, by a solver of another library, and the most probable image and parameters.

`denoise` of the prior is the proximal map of total variation, not a mean: with `map`, which adds no noise, the loop is
half-quadratic splitting, and its result is what the energy

    ||y - A(x)||^2 / (2 noise^2) + weight TV(x)

has as its minimum, near enough (Geman, Yang, 1995; Zoran, Weiss, 2011).
"""

import numpy as np
import torch
from skimage.restoration import denoise_tv_chambolle
from torch import Tensor

import ipt
from ipt.core.abilities import Belief
from ipt.core.guidance import Step
from ipt.core.problem import Problem
from ipt.core.sampling import Schedule, Transition
from ipt.guidance import gauss_newton
from ipt.linalg.windows import windowed
from ipt.sampling.schedules import Karras
from ipt.sampling.transitions import DDIM


class TotalVariation(ipt.Prior):
    """Of pictures of any size and number of channels.

    Args:
        weight: of the total variation, for noise of a normalized level of 1.
    """

    differentiable = False

    def __init__(self, weight: float = 1.5):
        self.weight = weight

    def normalization(self, shape: tuple[int, ...]) -> ipt.Normalization:
        return ipt.Normalization(shape, shape, 0.5, 0.5)

    def denoise(self, noisy: Tensor, sigma: float) -> Tensor:
        each = [
            denoise_tv_chambolle(one.cpu().double().numpy(), self.weight * sigma, channel_axis=0, max_num_iter=50)
            for one in noisy
        ]
        return torch.from_numpy(np.stack(each)).to(noisy)


class MAP(ipt.GuidanceRule):
    """Priors' estimates, moved to what the measurement says, and on from there without fresh noise."""

    needs_gradients = False

    def schedule(self, steps: int | None = None) -> Schedule:
        return Karras(steps or 40, sigma_max=2.0, sigma_min=0.02)

    def transition(self) -> Transition:
        return DDIM(eta=0.0)

    def noise_ratio(self, name: str, spec: ipt.ParameterSpec) -> float:
        return spec.noise_ratio

    def correct(self, step: Step, problem: Problem) -> ipt.Correction:
        # Weights for counts, if the noise is such, are those of the present estimate's signal.
        observation = problem.observation.at(problem.predict(step.clean))
        beliefs = {name: belief(name, step, problem) for name in step.posteriors}
        image = beliefs.pop("image")
        loose = gauss_newton.parameter_step(problem.operator, observation, image, beliefs, problem.known)
        found = gauss_newton.image_step(problem.operator, observation, image, problem.valid(loose))
        moved = {"image": found, **loose}
        return ipt.Correction(
            {name: problem.normalizations[name].normalized(moved[name], step.clean[name]) for name in moved}
        )


def belief(name: str, step: Step, problem: Problem) -> Belief:
    """What a prior makes of an unknown, in physical units: its mean, and how far it may be off."""
    normalization, posterior = problem.normalizations[name], step.posteriors[name]
    covariance = windowed(posterior.covariance, normalization).scaled(normalization.scale)
    return Belief(normalization.physical(posterior.mean), covariance, abs(normalization.scale) * step.levels[name])
