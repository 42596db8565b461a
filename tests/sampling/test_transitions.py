"""Transitions against the published updates, written here in x_vp form and independently of the package."""

from __future__ import annotations

import math

import pytest
import torch

from ipt.core.prior import Posterior
from ipt.linalg.covariances import Isotropic
from ipt.sampling.schedules import VP
from ipt.sampling.transitions import DDIM, Ancestral, Renoise

BETAS = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
ABAR = (1 - BETAS).cumprod(0)
TIMES = [1, 2, 50, 500, 998, 999]


def estimated(clean, interpolation=None):
    return Posterior(clean, Isotropic.like(clean, 1.0), interpolation)


def _draw(seed):
    generator = torch.Generator().manual_seed(seed)
    x, clean, noise, mix = torch.randn(4, 2, 3, 4, 4, dtype=torch.float64, generator=generator)
    return x, clean.clamp(-1, 1), noise, mix.sigmoid()


def _ddpm(x, clean, noise, t, log_variance):
    """Ho et al., equations 6 and 7."""
    before, now = ABAR[t - 1], ABAR[t]
    mean = before.sqrt() * BETAS[t] / (1 - now) * clean + (1 - BETAS[t]).sqrt() * (1 - before) / (1 - now) * x
    return mean + (0.5 * log_variance).exp() * noise


def _in_z(transition, x, estimate, noise, t):
    """x_vp at t -> x_vp at t - 1 through the package's sigma convention."""
    sigma = math.sqrt((1 - ABAR[t]) / ABAR[t])
    sigma_next = math.sqrt((1 - ABAR[t - 1]) / ABAR[t - 1])
    z = transition(x * math.sqrt(1 + sigma**2), estimate, sigma, sigma_next, noise)
    return z / math.sqrt(1 + sigma_next**2)


@pytest.mark.parametrize("t", TIMES)
@pytest.mark.parametrize("variance", ["small", "large", "learned"])
def test_ancestral_is_the_published_ddpm_update(variance, t):
    x, clean, noise, mix = _draw(t)
    small = torch.log(BETAS[t] * (1 - ABAR[t - 1]) / (1 - ABAR[t]))
    large = torch.log(BETAS[t])
    chosen = {"small": small, "large": large, "learned": mix * large + (1 - mix) * small}[variance]
    expected = _ddpm(x, clean, noise, t, chosen)
    found = _in_z(Ancestral(variance), x, estimated(clean, mix), noise, t)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_the_schedule_gives_the_process_that_the_update_is_of():
    torch.testing.assert_close(VP().alphas_bar(), ABAR, rtol=1e-12, atol=0)


@pytest.mark.parametrize("t", TIMES)
@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_ddim_is_the_published_update(eta, t):
    x, clean, noise, _ = _draw(t)
    now, before = ABAR[t], ABAR[t - 1]
    epsilon = (x - now.sqrt() * clean) / (1 - now).sqrt()
    std = eta * ((1 - before) / (1 - now)).sqrt() * (1 - now / before).sqrt()
    expected = before.sqrt() * clean + (1 - before - std**2).sqrt() * epsilon + std * noise
    found = _in_z(DDIM(eta), x, estimated(clean), noise, t)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)


def test_ddim_with_eta_1_is_ancestral_small():
    x, clean, noise, _ = _draw(0)
    for sigma, sigma_next in [(80.0, 60.0), (3.0, 0.2), (0.02, 0.01)]:
        one = DDIM(1.0)(x, estimated(clean), sigma, sigma_next, noise)
        other = Ancestral("small")(x, estimated(clean), sigma, sigma_next, noise)
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_learned_without_a_network_that_says_so_is_small():
    x, clean, noise, _ = _draw(1)
    one = Ancestral("learned")(x, estimated(clean), 2.0, 1.0, noise)
    assert torch.equal(one, Ancestral("small")(x, estimated(clean), 2.0, 1.0, noise))


def test_renoise_keeps_the_noise_level_and_as_much_of_the_path_as_asked():
    _, clean, noise, _ = _draw(2)
    there = torch.randn(noise.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(9))
    noisy = clean + 3.0 * there
    fresh = Renoise(1.0)(noisy, estimated(clean), 3.0, 2.0, noise)
    torch.testing.assert_close(fresh, clean + 2.0 * noise, rtol=0, atol=1e-14)
    kept = Renoise(0.0)(noisy, estimated(clean), 3.0, 2.0, noise)
    torch.testing.assert_close(kept, DDIM(0.0)(noisy, estimated(clean), 3.0, 2.0, noise), rtol=0, atol=1e-14)
    half = Renoise(0.36)(noisy, estimated(clean), 3.0, 2.0, noise)
    torch.testing.assert_close(half, clean + 2.0 * (0.8 * there + 0.6 * noise), rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    "transition",
    [Ancestral("small"), Ancestral("large"), Ancestral("learned"), DDIM(0.0), DDIM(1.0), Renoise(1.0), Renoise(0.3)],
)
def test_the_last_step_is_the_estimate_itself(transition):
    x, clean, noise, mix = _draw(3)
    assert torch.equal(transition(x, estimated(clean, mix), 0.02, 0.0, noise), clean)


@pytest.mark.parametrize(
    "make", [lambda: Ancestral("tiny"), lambda: DDIM(1.1), lambda: DDIM(-0.1), lambda: Renoise(2.0)]
)
def test_what_makes_no_sense_is_refused(make):
    with pytest.raises(ValueError, match=r"variance is|within 0\.\.1"):
        make()
