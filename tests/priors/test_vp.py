"""The noise-predicting network as a denoiser, against the published updates written out in x_vp."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from ipt.core.prior import Posterior
from ipt.linalg.covariances import Isotropic
from ipt.priors.adm_config import ADMConfig
from ipt.priors.vp import VPDenoiser
from ipt.sampling.schedules import VP
from ipt.sampling.transitions import DDIM, Ancestral

SHAPE = (2, 1, 8, 8)
BETAS = np.linspace(1e-4, 0.02, 1000)
BAR = np.cumprod(1 - BETAS)


class Small(nn.Module):
    """A learned-range network that is quick and depends on the picture and on the timestep everywhere."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.first, self.second = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 2, 3, padding=1)

    def forward(self, image, timestep):
        label = (timestep / 1000 * torch.arange(1, 9)[:, None]).T[:, :, None, None].to(image)
        raw = self.second(torch.sin(self.first(image) + label))
        return torch.cat([0.8 * image + 0.2 * raw[:, :1], raw[:, 1:].tanh()], dim=1)


def published(network, timesteps, noises, move):
    """A chain in x_vp on the process restricted to `timesteps` (rising), with its betas made anew for the subset."""
    bar = BAR[timesteps]
    before = np.append(1.0, bar[:-1])
    betas = 1 - bar / before
    x = noises[0] * np.sqrt(bar[-1]) * np.sqrt((1 - bar[-1]) / bar[-1])
    for place in reversed(range(len(timesteps))):
        time = torch.full((len(x),), float(timesteps[place]), dtype=torch.float64)
        eps, mix = network(x, time).chunk(2, dim=1)
        clean = ((x - np.sqrt(1 - bar[place]) * eps) / np.sqrt(bar[place])).clamp(-1, 1)
        x = move(x, clean, mix, bar[place], before[place], betas[place], noises[len(timesteps) - place], place)
    return x


def learned(x, clean, mix, bar, before, beta, noise, place):
    """DDPM's posterior, its log-variance between beta-tilde and beta where the network says (values -1..1)."""
    mean = np.sqrt(before) * beta / (1 - bar) * clean + np.sqrt(1 - beta) * (1 - before) / (1 - bar) * x
    if place == 0:
        return mean
    tilde = beta * (1 - before) / (1 - bar)
    share = (mix + 1) / 2
    return mean + (0.5 * (share * np.log(beta) + (1 - share) * np.log(tilde))).exp() * noise


def ddim(eta):
    def move(x, clean, mix, bar, before, beta, noise, place):
        eps = (x - np.sqrt(bar) * clean) / np.sqrt(1 - bar)
        spread = eta * np.sqrt((1 - before) / (1 - bar)) * np.sqrt(1 - bar / before)
        return np.sqrt(before) * clean + np.sqrt(1 - before - spread**2) * eps + (spread * noise if place else 0)

    return move


def chain(network, schedule, noises, transition):
    denoiser = VPDenoiser(network)
    sigmas = schedule.sigmas().tolist()
    z = sigmas[0] * noises[0]
    for index, (sigma, following) in enumerate(itertools.pairwise(sigmas)):
        estimate, interpolation = denoiser.estimate(z, torch.full((len(z),), sigma, dtype=z.dtype))
        z = transition(
            z, Posterior(estimate, Isotropic.like(z, 1.0), interpolation), sigma, following, noises[index + 1]
        )
    return z


def noise(count):
    return torch.randn(count + 1, *SHAPE, generator=torch.Generator().manual_seed(7), dtype=torch.float64)


@torch.no_grad()
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(Ancestral("learned"), learned), (DDIM(0.0), ddim(0.0)), (DDIM(0.7), ddim(0.7)), (DDIM(1.0), ddim(1.0))],
)
@pytest.mark.parametrize("steps", [None, 50])
def test_whole_chains_are_the_published_ones(ours, theirs, steps):
    network = Small().double()
    schedule = VP(steps=steps)
    timesteps = schedule.timesteps().numpy()
    noises = noise(len(timesteps))
    expected = published(network, timesteps, noises, theirs)
    found = chain(network, schedule, noises, ours)
    assert expected.std() > 0.05
    assert (found - expected).abs().max() < 1e-10


@torch.no_grad()
def test_one_learned_step_of_an_adm_network(randomised):
    network = randomised(ADMConfig(1, 32, (1, 2), attention=(1,), head_channels=16))
    noises = noise(2)
    bar, before, beta = BAR[400], BAR[399], BETAS[400]
    x = noises[0]
    eps, mix = network(x, torch.full((2,), 400.0, dtype=torch.float64)).chunk(2, dim=1)
    clean = ((x - np.sqrt(1 - bar) * eps) / np.sqrt(bar)).clamp(-1, 1)
    expected = learned(x, clean, mix, bar, before, beta, noises[1], 1)
    sigma, following = ((1 - bar) / bar) ** 0.5, ((1 - before) / before) ** 0.5
    z = x / np.sqrt(bar)
    estimate, interpolation = VPDenoiser(network).estimate(z, torch.full((2,), sigma, dtype=torch.float64))
    assert torch.allclose(interpolation, (mix + 1) / 2, atol=1e-12)
    posterior = Posterior(estimate, Isotropic.like(z, 1.0), interpolation)
    found = Ancestral("learned")(z, posterior, sigma, following, noises[1]) * np.sqrt(before)
    assert (found - expected).abs().max() < 1e-10


def test_timesteps_are_whole_on_the_schedule_in_either_precision():
    denoiser = VPDenoiser(Small())
    sigmas = VP().sigmas()[:-1]
    expected = torch.arange(999, -1, -1, dtype=torch.float64)
    assert torch.equal(denoiser.timestep(sigmas), expected)
    assert torch.equal(denoiser.timestep(sigmas.float()), expected)


def test_timesteps_between_and_beyond():
    denoiser = VPDenoiser(Small())
    sigmas = VP().sigmas()[:-1].flip(0)
    between = (sigmas[10] * sigmas[11]).sqrt()
    assert float(denoiser.timestep(between[None])) == pytest.approx(10.5, abs=1e-9)
    assert denoiser.timestep(torch.tensor([1e-4, 1e4])).tolist() == [0, 999]
    inside = denoiser.timestep(torch.logspace(-1.9, 2.1, 200, dtype=torch.float64))
    assert (inside.diff() > 0).all()


def test_clipping_is_a_choice_and_gradients_flow():
    network = Small().double()
    z = (3 * torch.ones(SHAPE, dtype=torch.float64)).requires_grad_()
    sigma = torch.full((2,), 0.5, dtype=torch.float64)
    assert VPDenoiser(network)(z, sigma).abs().max() <= 1
    free = VPDenoiser(network, clip=False)(z, sigma)
    assert free.abs().max() > 1
    (gradient,) = torch.autograd.grad(free.sum(), z)
    assert gradient.abs().min() > 0
