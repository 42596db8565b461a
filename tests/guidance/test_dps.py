"""DPS against the published blind update, written here on x_vp and independently of the package's loop."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from ipt.core.errors import IptError
from ipt.core.guidance import Step
from ipt.core.prior import Posterior, Prior
from ipt.core.solver import Solver
from ipt.guidance.dps import DPS
from ipt.linalg.covariances import Isotropic
from ipt.linalg.normalization import Normalization
from ipt.linalg.random import Noise
from ipt.operators.blur import Blur
from ipt.sampling.schedules import VP

STEPS = 50
BETAS = torch.linspace(0.002, 0.4, STEPS, dtype=torch.float64)
ABAR = (1 - BETAS).cumprod(0)
SEEDS = [11, 12]
IMAGE, KERNEL = (3, 6, 6), (1, 3, 3)


class Network(nn.Module):
    """(x_vp, t) -> noise and the learned variance's place in -1..1.

    The noise is what unit normal data would have, and random convolutions on top: estimates stay of the order of one.
    """

    def __init__(self, channels: int, seed: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels + 1, 8, 3, padding=1), nn.SiLU(), nn.Conv2d(8, 2 * channels, 3, padding=1), nn.Tanh()
        ).double()
        generator = torch.Generator().manual_seed(seed)
        for weight in self.body.parameters():
            weight.data = 0.3 * torch.randn(weight.shape, generator=generator, dtype=torch.float64)

    def forward(self, x, t):
        time = torch.full_like(x[:, :1], t / STEPS)
        noise, mix = self.body(torch.cat([x, time], 1)).chunk(2, 1)
        return (1 - ABAR[t]).sqrt() * x + 0.5 * ABAR[t].sqrt() * noise, mix


def estimated(mean, interpolation=None):
    return Posterior(mean, Isotropic.like(mean, 0.5), interpolation)


class Wrapped(Prior):
    """The network as a prior in sigma."""

    def __init__(self, network, clip):
        self.network, self.clip = network, clip
        self.sigmas = ((1 - ABAR) / ABAR).sqrt()

    def normalization(self, shape):
        return Normalization(shape, shape, 0.5, 0.5)

    def denoise(self, noisy, sigma):
        return self.posterior(noisy, sigma).mean

    def posterior(self, noisy, sigma):
        t = int((self.sigmas - sigma).abs().argmin())
        epsilon, mix = self.network(noisy / math.sqrt(1 + sigma**2), t)
        clean = noisy - sigma * epsilon
        return estimated(clean.clamp(-1, 1) if self.clip else clean, (mix + 1) / 2)


def _blurred(image, kernel):
    """Circular convolution of images in -1..1 with a kernel variable in -1..1."""
    weights = ((kernel + 1) / 2).clamp(min=0)
    weights = weights / weights.sum((1, 2, 3), keepdim=True)
    total = torch.zeros_like(image)
    for row in range(3):
        for column in range(3):
            total = total + weights[:, :, row : row + 1, column : column + 1] * image.roll(
                (row - 1, column - 1), (2, 3)
            )
    return total


def _p_sample(network, x, t, noise, clip):
    """x_{t-1} and the estimate of x_0: Ho et al., equation 7, with the variance of Nichol and Dhariwal, equation 15."""
    epsilon, mix = network(x, t)
    now, before = ABAR[t], ABAR[t - 1] if t else torch.ones((), dtype=torch.float64)
    clean = x / now.sqrt() - (1 / now - 1).sqrt() * epsilon
    if clip:
        clean = clean.clamp(-1, 1)
    mean = before.sqrt() * BETAS[t] / (1 - now) * clean + (1 - BETAS[t]).sqrt() * (1 - before) / (1 - now) * x
    if t == 0:
        return mean, clean
    place = (mix + 1) / 2
    log_variance = place * BETAS[t].log() + (1 - place) * (BETAS[t] * (1 - before) / (1 - now)).log()
    return mean + (0.5 * log_variance).exp() * noise, clean


def _published_chain(networks, measurement, scales, size, clip):
    """BlindDPS, algorithm 1, in -1..1; a state (image, kernel) a step."""
    noise = Noise(SEEDS)
    shapes = {"image": IMAGE, "kernel": KERNEL}
    start = VP(length=STEPS).sigmas()[0]
    # The package starts from sigma * noise in z.
    x = {
        name: start / (1 + start**2).sqrt() * noise.like(name, measurement.new_empty(2, *shape))
        for name, shape in shapes.items()
    }
    chain = []
    for t in reversed(range(STEPS)):
        leaves = {name: value.detach().requires_grad_() for name, value in x.items()}
        sampled = {
            name: _p_sample(networks[name], value, t, noise.like(name, value), clip) for name, value in leaves.items()
        }
        rest = 2 * measurement - 1 - _blurred(sampled["image"][1], sampled["kernel"][1])
        distance = sum(torch.linalg.vector_norm(one) for one in rest)
        gradients = torch.autograd.grad(distance, list(leaves.values()))
        for name, gradient in zip(leaves, gradients, strict=True):
            step = scales[name] * (ABAR[t].sqrt() if size == "sqrt-abar" else 1.0)
            x[name] = (sampled[name][0] - step * gradient).detach()
        chain.append(dict(x))
    return chain


@pytest.mark.parametrize("clip", [True, False], ids=["clipped", "unclipped"])
@pytest.mark.parametrize("size", ["constant", "sqrt-abar"])
def test_the_loop_is_the_published_chain(size, clip):
    networks = {"image": Network(3, 0), "kernel": Network(1, 1)}
    measurement = torch.rand(2, *IMAGE, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    scales = {"kernel": 0.1, "image": 0.3}
    expected = _published_chain(networks, measurement, scales, size, clip)
    priors = {name: Wrapped(network, clip) for name, network in networks.items()}
    solver = Solver(Blur(3, "circular"), priors, DPS(scales, size), VP(length=STEPS))
    problem = solver.problem(measurement)
    states = list(solver.steps(problem, seeds=SEEDS))
    assert len(states) == STEPS
    for state, published in zip(states, expected, strict=True):
        for name, value in published.items():
            found = state.noisy[name] / math.sqrt(1 + state.sigma**2)
            # Unclipped chains of an untrained network leave -1..1 far behind.
            torch.testing.assert_close(found, value, rtol=0, atol=1e-10 * max(1.0, value.abs().max().item()))
    # The chain was guided: without the measurement it ends elsewhere.
    free = list(Solver(Blur(3, "circular"), priors, DPS(0.0), VP(length=STEPS)).steps(problem, seeds=SEEDS))[-1]
    assert (free.noisy["image"] - states[-1].noisy["image"]).abs().max() > 1e-2


def _step(**noisy):
    leaves = {name: value.requires_grad_() for name, value in noisy.items()}
    posteriors = {name: estimated(torch.tanh(value)) for name, value in leaves.items()}
    return Step(leaves, posteriors, dict.fromkeys(leaves, 2.0), 2.0, 1.5, 0, 10)


def _problem(measurement):
    priors = {"image": Wrapped(None, False), "kernel": Wrapped(None, False)}
    return Solver(Blur(3, "circular"), priors, DPS()).problem(measurement, 0.1)


def test_one_scale_serves_all_and_names_single_them_out():
    draw = torch.Generator().manual_seed(0)
    values = [torch.randn(1, *shape, dtype=torch.float64, generator=draw) for shape in (IMAGE, KERNEL)]

    def shift(scale):
        step = _step(image=values[0].clone(), kernel=values[1].clone())
        return DPS(scale).correct(step, _problem(torch.full((1, *IMAGE), 0.2, dtype=torch.float64))).shift

    both = shift(0.3)
    named = shift({"kernel": 0.6, "image": 0.3})
    torch.testing.assert_close(named["image"], both["image"])
    torch.testing.assert_close(named["kernel"], 2 * both["kernel"])
    assert both["kernel"].abs().max() > 0
    with pytest.raises(IptError, match="'kernel' needs one"):
        shift({"image": 0.3})


def test_a_residual_of_zero_moves_nothing():
    step = _step(image=torch.zeros(1, *IMAGE, dtype=torch.float64), kernel=torch.ones(1, *KERNEL, dtype=torch.float64))
    problem = _problem(torch.full((1, *IMAGE), 0.5, dtype=torch.float64))
    exact = _problem(problem.predict(step.clean).detach())
    shift = DPS().correct(step, exact).shift
    assert all(torch.isfinite(value).all() and value.abs().max() < 1e-6 for value in shift.values())


def test_an_unknown_size_is_refused():
    with pytest.raises(IptError, match="sqrt-abar"):
        DPS(size="sqrt")


@pytest.mark.parametrize("scale", ["big", {"kernel": "big"}, None])
def test_a_scale_that_is_no_number(scale):
    with pytest.raises(IptError, match="scale is a number, or one for each unknown, not "):
        DPS(scale)
