"""Proximal and DPS where the exact posterior is known: a Gaussian prior of independent pixels and a known circular
blur.

If what a rule takes for the uncertainty of the network's estimate is exact, its image step gives E[clean | noisy,
measurement], and ancestral sampling with that draws from the posterior.
"""

from __future__ import annotations

import math

import pytest
import torch

from ipt.core.charts import Chart
from ipt.core.interfaces import Prior
from ipt.core.schedules import VP, Karras
from ipt.core.solver import Solver
from ipt.core.transitions import Ancestral
from ipt.guidance.dps import DPS
from ipt.guidance.proximal import Proximal
from ipt.operators.blur import Blur

STD, MEAN, SIDE, BATCH = 0.6, 0.2, 8, 24
NOISE = 0.1
KERNEL = torch.tensor([[0.1, 0.2, 0.0], [0.0, 0.4, 0.1], [0.0, 0.0, 0.2]], dtype=torch.float64)[None, None]


class Independent(Prior):
    def chart(self, physical_shape):
        return Chart(physical_shape, physical_shape, 0.5, 0.5)

    def denoise(self, noisy, sigma):
        return MEAN + STD**2 / (STD**2 + sigma**2) * (noisy - MEAN)

    def uncertainty(self, sigma):
        return sigma * STD / math.hypot(sigma, STD)


OPERATOR = Blur(3, "circular")
ONE = torch.rand(1, 1, SIDE, SIDE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
MEASUREMENT = ONE.expand(BATCH, 1, SIDE, SIDE).clone()


def _posterior():
    """Mean and covariance of the image in 0..1."""
    pixels = SIDE * SIDE
    basis = torch.eye(pixels, dtype=torch.float64).reshape(pixels, 1, SIDE, SIDE)
    matrix = OPERATOR.forward(basis, KERNEL).reshape(pixels, pixels).T
    variance = (0.5 * STD) ** 2
    precision = matrix.T @ matrix / NOISE**2 + torch.eye(pixels, dtype=torch.float64) / variance
    right = matrix.T @ ONE.flatten() / NOISE**2 + (0.5 + 0.5 * MEAN) / variance
    return torch.linalg.solve(precision, right).reshape(1, 1, SIDE, SIDE), torch.linalg.inv(precision)


def _solver(rule, schedule, transition=None):
    return Solver(OPERATOR, {"image": Independent()}, rule, schedule, transition)


def test_from_pure_noise_the_first_estimate_is_the_posterior_mean():
    solver = _solver(Proximal(image_trust=1.0), Karras(10, sigma_max=1e5))
    state = next(solver.steps(MEASUREMENT, NOISE, {"kernel": KERNEL}))
    mean, _ = _posterior()
    found = 0.5 + 0.5 * state.clean["image"]
    torch.testing.assert_close(found, mean.expand_as(found), rtol=0, atol=1e-4)


def test_the_mean_over_seeds_is_the_posterior_mean_at_every_step():
    """With fresh noise around the conditional mean, every estimate is unbiased."""
    mean, covariance = _posterior()
    std = covariance.diagonal().sqrt().max().item()
    for state in _solver(Proximal(image_trust=1.0), Karras(8)).steps(MEASUREMENT, NOISE, {"kernel": KERNEL}):
        found = 0.5 + 0.5 * state.clean["image"].mean(0, keepdim=True)
        assert (found - mean).abs().max() < 5 * std / math.sqrt(BATCH)
        assert (found - mean).mean().abs() < 5 * std / math.sqrt(BATCH * SIDE**2)


def test_ancestral_sampling_draws_from_the_posterior():
    mean, covariance = _posterior()
    solver = _solver(Proximal(image_trust=1.0), VP(250), Ancestral("small"))
    found = solver.solve(MEASUREMENT, NOISE, {"kernel": KERNEL}).image
    # White, by the posterior's own covariance: then every pixel of every draw is a standard normal.
    whitened = torch.linalg.solve_triangular(
        torch.linalg.cholesky(covariance), (found - mean).flatten(1).T, upper=False
    )
    draws = whitened.numel()
    assert abs(whitened.mean()) < 5 / math.sqrt(draws)
    assert abs(whitened.square().mean() - 1) < 5 * math.sqrt(2 / draws) + 0.04


@pytest.mark.parametrize(
    ("rule", "noise"), [(Proximal(image_trust=1.0), 1e4), (DPS(0.0), NOISE)], ids=["proximal", "dps"]
)
def test_a_measurement_without_a_say_leaves_the_prior(rule, noise):
    solver = _solver(rule, VP(250), Ancestral("small"))
    found = solver.solve(MEASUREMENT, noise, {"kernel": KERNEL}).image
    draws = found.numel()
    assert abs(found.mean() - (0.5 + 0.5 * MEAN)) < 5 * 0.5 * STD / math.sqrt(draws)
    assert abs(found.var() / (0.5 * STD) ** 2 - 1) < 5 * math.sqrt(2 / draws) + 0.04
