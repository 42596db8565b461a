"""The loop as a sampler: on Gaussian priors and linear operators the exact answers are known.

Pixels are independent and channels are not, so one picture holds thousands of independent draws.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch

from ipt.core.guidance import Correction, GuidanceRule
from ipt.core.operator import ParametricOperator
from ipt.core.prior import Prior
from ipt.core.solver import Solver
from ipt.linalg.normalization import Normalization
from ipt.sampling.schedules import VP, Karras
from ipt.sampling.transitions import DDIM, Ancestral

MEAN = torch.tensor([0.3, -0.4], dtype=torch.float64)
COVARIANCE = torch.tensor([[0.30, 0.12], [0.12, 0.10]], dtype=torch.float64)
DRAWS = 8 * 32 * 32


def _mixed(matrix, picture):
    return torch.einsum("ij,bjhw->bihw", matrix, picture)


class Correlated(Prior):
    """Two channels, jointly Gaussian; the exact denoiser, and on request the exact variance of the reverse step."""

    def __init__(self, covariance=COVARIANCE):
        self.covariance = covariance

    def normalization(self, shape):
        return Normalization(shape, shape, 0.5, 0.5)

    def denoise(self, noisy, sigma):
        gain = self.covariance @ torch.linalg.inv(self.covariance + sigma**2 * torch.eye(2, dtype=torch.float64))
        mean = MEAN[:, None, None]
        return mean + _mixed(gain, noisy - mean)


class ExactVariance(Correlated):
    """Independent channels whose reverse step's true variance is expressed as a learned one: exact in any number of
    steps.

    The true variance is small + (1 - ratio)^2 v, with v what is left unknown of the clean entry.
    """

    def __init__(self, sigmas):
        super().__init__(torch.diag(torch.diag(COVARIANCE)))
        self.following = dict(itertools.pairwise(sigmas))

    def posterior(self, noisy, sigma):
        following, usual = self.following[sigma], super().posterior(noisy, sigma)
        if following == 0:
            return usual
        ratio = (following / sigma) ** 2
        left = torch.diag(COVARIANCE) * sigma**2 / (torch.diag(COVARIANCE) + sigma**2)
        small = following**2 * (1 - ratio)
        large = (sigma**2 - following**2) / (1 + sigma**2) * (1 + following**2)
        mix = ((small + (1 - ratio) ** 2 * left).log() - math.log(small)) / (math.log(large) - math.log(small))
        return replace(usual, variance_interpolation=mix[:, None, None].expand_as(noisy))


class Mixing(ParametricOperator):
    """y = M x, channel by channel of a pixel."""

    def __init__(self, matrix):
        self.matrix = torch.tensor(matrix, dtype=torch.float64)

    def parameters(self, image_shape):
        return {}

    def forward(self, image):
        return _mixed(self.matrix, image)


class Nothing(GuidanceRule):
    """Corrects nothing."""

    needs_gradients = False

    def schedule(self, steps=None):
        return VP(steps)

    def transition(self):
        return Ancestral("small")

    def correct(self, step, problem):
        return Correction()


class ConditionalMean(Nothing):
    """E[clean | noisy, measurement], exact for `Correlated` and `Mixing`; as a corrected estimate or as the equivalent
    shift."""

    def __init__(self, as_shift):
        self.as_shift = as_shift

    def correct(self, step, problem):
        covariance, eye = COVARIANCE, torch.eye(2, dtype=torch.float64)
        left = torch.linalg.inv(torch.linalg.inv(covariance) + eye / step.sigma**2)
        forward = problem.operator.matrix / 2  # from the normalised image to the measurement
        innovation = forward @ left @ forward.T + problem.observation.noise[0, 0, 0, 0] ** 2 * eye
        delta = _mixed(left @ forward.T @ torch.linalg.inv(innovation), problem.residual(step.clean))
        if self.as_shift:
            return Correction(shift={"image": (1 - (step.sigma_next / step.sigma) ** 2) * delta})
        return Correction(clean={"image": step.clean["image"] + delta})


def _statistics(picture):
    flat = picture.movedim(1, 0).flatten(1)
    return flat.mean(1), torch.cov(flat)


def _assert_close(picture, mean, covariance, bias=0.0):
    """Within five standard errors, and a relative bias of the covariance that the discrete steps are allowed."""
    found_mean, found_covariance = _statistics(picture)
    std = covariance.diag().sqrt()
    assert ((found_mean - mean).abs() < 5 * std / math.sqrt(DRAWS) + bias * std).all(), found_mean
    error = std[:, None] * std * (5 * math.sqrt(2 / DRAWS) + bias)
    assert ((found_covariance - covariance).abs() < error).all(), found_covariance


MEASUREMENT = torch.zeros(8, 2, 32, 32, dtype=torch.float64)


def _physical(mean, covariance):
    return 0.5 + 0.5 * mean, covariance / 4


def test_unguided_with_the_exact_variance_is_exact_in_few_steps():
    schedule = VP(25)
    prior = ExactVariance(schedule.sigmas().tolist())
    solver = Solver(Mixing([[1.0, 0.0], [0.0, 1.0]]), {"image": prior}, Nothing(), schedule, Ancestral("learned"))
    # The last step gives the estimate without noise: what it leaves out is sigma_min^2, 1e-4 here.
    _assert_close(solver.solve(MEASUREMENT).image, *_physical(MEAN, COVARIANCE.diag().diag()), bias=0.002)


@pytest.mark.parametrize(
    ("schedule", "transition"),
    [(VP(400), Ancestral("small")), (VP(400), DDIM(1.0)), (Karras(200, rho=5), DDIM(0.0))],
    ids=["ancestral", "ddim-1", "ddim-0"],
)
def test_unguided_reproduces_the_priors_mean_and_covariance(schedule, transition):
    solver = Solver(Mixing([[1.0, 0.0], [0.0, 1.0]]), {"image": Correlated()}, Nothing(), schedule, transition)
    _assert_close(solver.solve(MEASUREMENT).image, *_physical(MEAN, COVARIANCE), bias=0.04)


def _posterior(operator, noise, measurement):
    """Mean and covariance of the normalised pixel given its measurement (2,)."""
    forward = operator.matrix / 2
    innovation = forward @ COVARIANCE @ forward.T + noise**2 * torch.eye(2, dtype=torch.float64)
    gain = COVARIANCE @ forward.T @ torch.linalg.inv(innovation)
    seen = measurement - operator.matrix @ torch.full((2,), 0.5, dtype=torch.float64)
    return MEAN + gain @ (seen - forward @ MEAN), COVARIANCE - gain @ forward @ COVARIANCE


def test_the_posterior_of_a_linear_measurement_is_met():
    operator, noise = Mixing([[1.0, 0.5], [-0.3, 0.2]]), 0.1
    seen = torch.tensor([0.7, 0.1], dtype=torch.float64)
    solver = Solver(operator, {"image": Correlated()}, ConditionalMean(False), VP(400))
    found = solver.solve(seen[:, None, None].expand(8, 2, 32, 32).clone(), noise)
    _assert_close(found.image, *_physical(*_posterior(operator, noise, seen)), bias=0.04)


def test_a_shift_is_as_good_as_a_correction():
    operator = Mixing([[1.0, 0.5], [-0.3, 0.2]])
    measurement = torch.rand(2, 2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    one, other = (
        Solver(operator, {"image": Correlated()}, ConditionalMean(as_shift), VP(30)).solve(measurement, 0.1)
        for as_shift in (False, True)
    )
    torch.testing.assert_close(one.image, other.image, rtol=0, atol=1e-11)
    assert torch.allclose(one.residual, (measurement - operator.forward(one.image)).flatten(1).square().mean(1).sqrt())
