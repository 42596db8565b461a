"""Proximal and DPS where the exact posterior is known: a Gaussian prior of independent pixels and a known linear
operator.

If what a rule takes for the uncertainty of the network's estimate is exact, its image step gives E[clean | noisy,
measurement], and ancestral sampling with that draws from the posterior. The operator is a dense matrix, once with no
step of its own, so that Gauss-Newton serves, and once with a closed form.
"""

from __future__ import annotations

import math

import pytest
import torch

from ipt.core.abilities import ExactSteps
from ipt.core.operator import ParameterSpec, ParametricOperator
from ipt.core.prior import Posterior, Prior
from ipt.core.solver import Solver
from ipt.guidance.dps import DPS
from ipt.guidance.proximal import Proximal
from ipt.linalg.covariances import Isotropic
from ipt.linalg.normalization import Normalization
from ipt.sampling.schedules import VP, Karras
from ipt.sampling.transitions import Ancestral

STD, MEAN, SIDE, BATCH = 0.6, 0.2, 6, 32
NOISE = 0.1
GAIN = torch.full((1, 1, 1, 1), 0.7, dtype=torch.float64)


def _matrix():
    """Square and well conditioned, but neither symmetric nor orthogonal: pixels mix at random."""
    numbers = torch.Generator().manual_seed(3)
    mixed = torch.randn(SIDE**2, SIDE**2, dtype=torch.float64, generator=numbers) / SIDE
    return 0.6 * torch.eye(SIDE**2, dtype=torch.float64) + 0.4 * mixed


class Dense(ParametricOperator):
    """y = gain M x, a given matrix; the gain is the operator's parameter."""

    def parameters(self, image_shape):
        return {"gain": ParameterSpec((1, 1, 1), "gain")}

    def forward(self, image, gain):
        return gain * (image.flatten(1) @ _matrix().T).reshape(image.shape)


class Closed(Dense, ExactSteps):
    """The same with the image in closed form."""

    def parameter_step(self, observation, image, parameters, known):
        return None

    def image_step(self, observation, image, parameters, beliefs):
        assert not beliefs, "the gain is known"
        solved = []
        measurement, noise_variance = observation.measurement, observation.noise_variance
        for index in range(len(measurement)):
            matrix = parameters["gain"][index].item() * _matrix()
            noise, variance = noise_variance[index].item(), image.covariance.variance[index].item()
            normal = matrix.T @ matrix / noise + torch.eye(SIDE**2, dtype=torch.float64) / variance
            right = matrix.T @ measurement[index].flatten() / noise + image.mean[index].flatten() / variance
            solved.append(torch.linalg.solve(normal, right).reshape(image.mean[index].shape))
        return torch.stack(solved)


class Independent(Prior):
    def normalization(self, shape):
        return Normalization(shape, shape, 0.5, 0.5)

    def denoise(self, noisy, sigma):
        return MEAN + STD**2 / (STD**2 + sigma**2) * (noisy - MEAN)

    def posterior(self, noisy, sigma):
        return Posterior(self.denoise(noisy, sigma), Isotropic.like(noisy, sigma * STD / math.hypot(sigma, STD)))


each_operator = pytest.mark.parametrize("operator", [Dense(), Closed()], ids=["gauss-newton", "closed form"])
ONE = torch.rand(1, 1, SIDE, SIDE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
MEASUREMENT = ONE.expand(BATCH, 1, SIDE, SIDE).clone()


def _posterior():
    """Mean and covariance of the image in 0..1."""
    pixels, matrix = SIDE * SIDE, GAIN.item() * _matrix()
    variance = (0.5 * STD) ** 2
    precision = matrix.T @ matrix / NOISE**2 + torch.eye(pixels, dtype=torch.float64) / variance
    right = matrix.T @ ONE.flatten() / NOISE**2 + (0.5 + 0.5 * MEAN) / variance
    return torch.linalg.solve(precision, right).reshape(1, 1, SIDE, SIDE), torch.linalg.inv(precision)


def _solver(operator, rule, schedule, transition=None):
    return Solver(operator, {"image": Independent()}, rule, schedule, transition)


def test_the_matrix_matters():
    """The posterior is neither the prior's mean nor the measurement, and its pixels are correlated."""
    mean, covariance = _posterior()
    assert (mean - (0.5 + 0.5 * MEAN)).abs().max() > 0.2 and (mean - MEASUREMENT[:1]).abs().max() > 0.2
    deviations = covariance.diagonal().sqrt()
    correlation = covariance / (deviations[:, None] * deviations)
    assert (correlation - torch.eye(SIDE**2)).abs().max() > 0.25


def test_a_known_parameter_needs_no_step_for_it():
    """From pure noise the first estimate is the posterior's mean: as exact as eight conjugate gradients are, or to
    rounding."""
    mean, _ = _posterior()
    for operator, tolerance in ((Closed(), 1e-6), (Dense(), 0.03)):
        solver = _solver(operator, Proximal(clip=False), Karras(10, sigma_max=1e7))
        state = next(solver.steps(solver.problem(MEASUREMENT, NOISE, {"gain": GAIN})))
        found = 0.5 + 0.5 * state.clean["image"]
        assert (found - mean).square().mean().sqrt() < tolerance * (mean - 0.5).square().mean().sqrt()


@each_operator
def test_the_mean_over_seeds_is_the_posterior_mean_at_every_step(operator):
    """With fresh noise around the conditional mean, every estimate is unbiased."""
    mean, covariance = _posterior()
    std = covariance.diagonal().sqrt().max().item()
    solver = _solver(operator, Proximal(clip=False), Karras(8))
    for state in solver.steps(solver.problem(MEASUREMENT, NOISE, {"gain": GAIN})):
        found = 0.5 + 0.5 * state.clean["image"].mean(0, keepdim=True)
        assert (found - mean).abs().max() < 5 * std / math.sqrt(BATCH)
        assert (found - mean).mean().abs() < 5 * std / math.sqrt(BATCH * SIDE**2)


@each_operator
def test_ancestral_sampling_draws_from_the_posterior(operator):
    mean, covariance = _posterior()
    solver = _solver(operator, Proximal(clip=False), VP(150), Ancestral("small"))
    found = solver.solve(MEASUREMENT, NOISE, {"gain": GAIN}).image
    # White, by the posterior's own covariance: then every pixel of every draw is a standard normal.
    whitened = torch.linalg.solve_triangular(
        torch.linalg.cholesky(covariance), (found - mean).flatten(1).T, upper=False
    )
    draws = whitened.numel()
    assert abs(whitened.mean()) < 5 / math.sqrt(draws)
    assert abs(whitened.square().mean() - 1) < 5 * math.sqrt(2 / draws) + 0.04


@pytest.mark.parametrize(("rule", "noise"), [(Proximal(clip=False), 1e4), (DPS(0.0), NOISE)], ids=["proximal", "dps"])
def test_a_measurement_without_a_say_leaves_the_prior(rule, noise):
    solver = _solver(Closed(), rule, VP(150), Ancestral("small"))
    found = solver.solve(MEASUREMENT, noise, {"gain": GAIN}).image
    draws = found.numel()
    assert abs(found.mean() - (0.5 + 0.5 * MEAN)) < 5 * 0.5 * STD / math.sqrt(draws)
    assert abs(found.var() / (0.5 * STD) ** 2 - 1) < 5 * math.sqrt(2 / draws) + 0.04
