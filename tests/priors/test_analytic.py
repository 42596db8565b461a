"""The closed-form priors: exact conditional means, and an unguided sampler that reproduces them."""

import itertools
import math

import pytest
import torch

from ipt.core.errors import IptError
from ipt.priors.analytic import BoxPrior, GaussianPrior
from ipt.sampling.schedules import VP, Karras
from ipt.sampling.transitions import DDIM, Ancestral, Renoise

PRIORS = [GaussianPrior(0.2, 0.3), BoxPrior()]


def sampled(prior, schedule, transition, count, shape):
    """The solver's loop with no measurement: from noise to samples, (count, *shape)."""
    numbers = torch.Generator().manual_seed(5)

    def noise():
        return torch.randn(count, *shape, generator=numbers, dtype=torch.float64)

    sigmas = schedule.sigmas().tolist()
    noisy = sigmas[0] * noise()
    for sigma, following in itertools.pairwise(sigmas):
        noisy = transition(noisy, prior.posterior(noisy, sigma), sigma, following, noise())
    return noisy


def by_integration(centre, sigma):
    """Mean and variance of N(centre, sigma^2) cut to -1..1, on a fine grid about where its mass is."""
    peak = min(max(centre, -1.0), 1.0)
    width = min(2.0, sigma, sigma**2 / (abs(centre) - 1) if abs(centre) > 1 else sigma)
    ends = max(-1.0, peak - 50 * width), min(1.0, peak + 50 * width)
    grid = torch.linspace(*ends, 200_001, dtype=torch.float64)
    exponent = (grid * centre - grid.square() / 2) / sigma**2
    density = (exponent - exponent.max()).exp()
    total = torch.trapezoid(density, grid)
    first = torch.trapezoid(density * (grid - peak), grid) / total
    second = torch.trapezoid(density * (grid - peak).square(), grid) / total
    return float(peak + first), float(second - first**2)


def test_a_gaussian_in_physical_units():
    prior = GaussianPrior(12.0, 3.0, units="physical")
    normalization = prior.normalization((1, 1, 1))
    assert (normalization.scale, normalization.offset) == (6.0, 12.0)
    noisy = normalization.normalized(torch.full((1, 1, 1, 1), 18.0, dtype=torch.float64))
    # Noise of the variable's own deviation: halfway to the mean.
    assert float(normalization.physical(prior.denoise(noisy, 0.5))) == pytest.approx(15.0)
    several = GaussianPrior(torch.tensor([[[1.0]], [[3.0]]]), torch.tensor([[[1.0]], [[2.0]]]), units="physical")
    far = several.denoise(torch.zeros(1, 2, 1, 1, dtype=torch.float64), 1e6)
    assert several.normalization((2, 1, 1)).physical(far).flatten().tolist() == pytest.approx([1.0, 3.0], abs=1e-6)
    with pytest.raises(IptError, match="normalized or physical"):
        GaussianPrior(units="px")


@pytest.mark.parametrize("prior", PRIORS)
def test_without_noise_the_denoiser_is_the_identity(prior):
    clean = torch.linspace(-0.9, 0.9, 24, dtype=torch.float64).reshape(1, 1, 4, 6)
    assert torch.allclose(prior.denoise(clean, 1e-6), clean, atol=1e-9)


@pytest.mark.parametrize("prior", PRIORS)
def test_at_much_noise_the_denoiser_is_the_mean(prior):
    noisy = 1e4 * torch.randn(1, 1, 8, 8, dtype=torch.float64)
    expected = 0.2 if isinstance(prior, GaussianPrior) else 0.0
    assert (prior.denoise(noisy, 1e4) - expected).abs().max() < 1e-3


@pytest.mark.parametrize("sigma", [0.1, 0.5, 3.0])
@pytest.mark.parametrize("prior", PRIORS)
def test_the_denoiser_is_the_conditional_mean(prior, sigma, uncertainty):
    """Its error is orthogonal to every function of what it is given; and of the size that is told."""
    numbers = torch.Generator().manual_seed(2)
    count = 400_000
    if isinstance(prior, GaussianPrior):
        clean = 0.2 + 0.3 * torch.randn(count, generator=numbers, dtype=torch.float64)
    else:
        clean = 2 * torch.rand(count, generator=numbers, dtype=torch.float64) - 1
    noisy = clean + sigma * torch.randn(count, generator=numbers, dtype=torch.float64)
    error = prior.denoise(noisy.reshape(count, 1, 1, 1), sigma).reshape(-1) - clean
    for probe in (torch.ones_like(noisy), noisy, (3 * noisy).sin(), noisy.square()):
        product = error * probe
        assert abs(float(product.mean())) < 4.5 * float(product.std()) / count**0.5
    spread = float(error.square().mean().sqrt())
    if isinstance(prior, GaussianPrior):
        assert uncertainty(prior, sigma, (1, 1, 1)) == pytest.approx(spread, rel=0.01)
    else:
        assert 0.99 * spread < uncertainty(prior, sigma, (1, 1, 1)) < 1.1 * spread


@pytest.mark.parametrize("sigma", [1e-6, 1e-3, 0.02, 0.3, 0.99, 1.0, 1.01, 3.0, 80.0, 1e3, 1e6])
@pytest.mark.parametrize("centre", [0.0, 0.5, -0.999, 1.0, 1.0001, -3.0, 30.0, 1e4])
def test_box_is_stable_at_every_noise_level_and_far_outside(sigma, centre):
    mean, variance = by_integration(centre, sigma)
    noisy = torch.tensor([[[[centre]]]], dtype=torch.float64, requires_grad=True)
    found = BoxPrior().denoise(noisy, sigma)
    (slope,) = torch.autograd.grad(found.sum(), noisy)
    assert float(found.detach()) == pytest.approx(mean, abs=1e-9)
    assert float(slope) * sigma**2 == pytest.approx(variance, abs=1e-9 + 1e-4 * variance)
    single = BoxPrior().denoise(noisy.detach().float(), sigma)
    assert float(single) == pytest.approx(mean, abs=2e-7 + 1e-7 * abs(centre) * min(1, 1 / sigma))


def test_box_gradient_is_its_derivative():
    noisy = (2 * torch.randn(1, 1, 3, 3, dtype=torch.float64)).requires_grad_()
    for sigma in (0.2, 0.9, 1.5, 20.0):
        assert torch.autograd.gradcheck(lambda value, level=sigma: BoxPrior().denoise(value, level), noisy, atol=1e-6)


def test_box_in_physical_units():
    chart = BoxPrior(-3.0, 5.0).normalization((2, 7, 5))
    ends = torch.tensor([-1.0, 1.0]).reshape(2, 1, 1, 1).expand(2, 2, 7, 5)
    assert chart.physical(ends)[:, 0, 0, 0].tolist() == [-3.0, 5.0]


@pytest.mark.parametrize(
    ("schedule", "transition"),
    [
        (VP(), Ancestral("small")),
        (VP(), Ancestral("large")),
        (VP(), Ancestral("learned")),
        (VP(), DDIM(0.0)),
        (VP(), DDIM(0.5)),
        (Karras(500), DDIM(0.0)),
    ],
)
def test_an_unguided_sampler_reproduces_mean_and_covariance(schedule, transition):
    mean = torch.tensor([[[-0.6, 0.1, 0.4]]], dtype=torch.float64)
    std = torch.tensor([[[0.2, 0.5, 0.8]]], dtype=torch.float64)
    count = 8000
    found = sampled(GaussianPrior(mean, std), schedule, transition, count, (1, 1, 3)).flatten(1)
    assert ((found.mean(0) - mean.flatten()) / std.flatten()).abs().max() < 4.5 / count**0.5
    covariance = found.T.cov() / torch.outer(std.flatten(), std.flatten())
    assert (covariance - torch.eye(3, dtype=torch.float64)).abs().max() < 0.06


def test_an_unguided_sampler_of_the_box_is_uniform():
    found = sampled(BoxPrior(), VP(), Ancestral("large"), 8000, (1, 1, 1)).flatten()
    place = ((found + 1) / 2).sort().values
    even = torch.linspace(0, 1, len(place), dtype=torch.float64)
    # Kolmogorov-Smirnov, with room for the schedule's finite steps.
    assert (place - even).abs().max() < 0.03


def test_fresh_noise_loses_the_spread():
    """Renoise forgets the path, so it does not sample: the test above can fail."""
    found = sampled(GaussianPrior(0.0, 0.5), Karras(50), Renoise(), 4000, (1, 1, 1))
    assert float(found.std()) < 0.45


def test_gaussian_charts():
    chart = GaussianPrior(scale=2.0, offset=-1.0).normalization((2, 3, 4))
    assert chart.physical(torch.ones(1, 2, 3, 4)).unique().tolist() == [1.0]
    GaussianPrior(torch.zeros(2, 1, 1), torch.ones(3, 4)).normalization((2, 3, 4))
    with pytest.raises(IptError, match="std is of shape"):
        GaussianPrior(std=torch.ones(5)).normalization((2, 3, 4))


@pytest.mark.parametrize(
    "make",
    [
        lambda: GaussianPrior(std=0.0),
        lambda: GaussianPrior(std=-1.0),
        lambda: GaussianPrior(mean=math.nan),
        lambda: GaussianPrior(scale=0.0),
        lambda: BoxPrior(1.0, 1.0),
        lambda: BoxPrior(0.0, math.inf),
    ],
)
def test_impossible_options_are_refused(make):
    with pytest.raises(IptError):
        make()
