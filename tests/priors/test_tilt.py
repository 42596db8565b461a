"""The tilt prior against the dense conditional mean of small fields."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

import ipt
from ipt.core.errors import IptError
from ipt.linalg.fields import cosines
from ipt.operators.blur.kernels import MotionKernels
from ipt.operators.turbulence.tilts import TiltKolmogorov, TiltPatches
from ipt.plugins.building import build_component
from ipt.priors.tilt import TiltPrior
from ipt.sampling.schedules import Karras
from ipt.sampling.transitions import DDIM

FRAME = (9, 12)
GENERATORS = {
    "Kolmogorov": TiltKolmogorov(),
    "Kolmogorov, rough": TiltKolmogorov(distance=2e4),
    "patches": TiltPatches(),
}
each_generator = pytest.mark.parametrize("generator", GENERATORS.values(), ids=GENERATORS.keys())


def dense(field, scale, frame=FRAME):
    """The covariance of normalised fields (2, H, W), flattened."""
    rows, columns = torch.meshgrid(*(torch.arange(side, dtype=torch.float64) for side in frame), indexing="ij")
    rows, columns = rows.flatten(), columns.flatten()
    lags = rows[:, None] - rows, columns[:, None] - columns
    return field.covariance(*lags).permute(0, 2, 1, 3).reshape(2 * len(rows), -1) / scale**2


def drawn(covariance, count, seed=0):
    numbers = torch.Generator().manual_seed(seed)
    root = torch.linalg.cholesky(covariance + 1e-9 * torch.eye(len(covariance), dtype=torch.float64))
    return torch.randn(count, len(covariance), dtype=torch.float64, generator=numbers) @ root.T


def noise(count, seed=1):
    return torch.randn(count, 2, *FRAME, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@each_generator
@pytest.mark.parametrize(("sigma", "share"), [(80.0, 1e-4), (2.0, 1e-3), (0.3, 0.02), (0.05, 0.08)])
def test_the_denoiser_is_the_conditional_mean(generator, sigma, share):
    """share: of the posterior's deviation, by which the mean after the usual twenty iterations may be off."""
    prior = TiltPrior(generator=generator)
    covariance = dense(generator.field, prior.scale)
    noisy = drawn(covariance, 4).reshape(4, 2, *FRAME) + sigma * noise(4)
    gain = torch.linalg.solve(covariance + sigma**2 * torch.eye(len(covariance), dtype=torch.float64), covariance)
    wanted = (noisy.flatten(1) @ gain).reshape(noisy.shape)
    deviation = (covariance - covariance @ gain).diagonal().mean().sqrt()
    error = (prior.denoise(noisy, sigma) - wanted).square().mean().sqrt()
    assert error < share * deviation
    if sigma < 1:
        # With much noise, no more are done than it needs.
        thorough = TiltPrior(generator=generator, iterations=300).denoise(noisy, sigma)
        assert (thorough - wanted).abs().max() < 1e-5 * deviation


@each_generator
@pytest.mark.parametrize("sigma", [5.0, 0.5, 0.05])
def test_the_error_in_the_cosine_basis(generator, sigma):
    """Without iterations the denoiser is a linear estimate whose error is known; the exact one is smaller."""
    prior = TiltPrior(generator=generator, iterations=0)
    covariance = dense(generator.field, prior.scale)
    fields = drawn(covariance, 600)
    noisy = (fields + sigma * noise(600).flatten(1)).reshape(-1, 2, *FRAME)
    found = (prior.denoise(noisy, sigma).flatten(1) - fields).square().mean().sqrt()
    power = generator.field.cosine_power(FRAME) / prior.scale**2
    told = (power * sigma**2 / (power + sigma**2)).mean().sqrt()
    assert float(found) == pytest.approx(float(told), rel=0.04)
    exact = covariance - covariance @ torch.linalg.solve(
        covariance + sigma**2 * torch.eye(len(covariance), dtype=torch.float64), covariance
    )
    assert exact.diagonal().mean().sqrt() < told < 1.15 * exact.diagonal().mean().sqrt()


def test_the_variance_is_that_of_a_frame_of_64(uncertainty):
    generator = TiltPatches()
    prior = TiltPrior(generator=generator)
    assert uncertainty(prior, 1e4, (2, 8, 8)) == pytest.approx(0.5, rel=1e-3)
    assert uncertainty(prior, 1e-4, (2, 8, 8)) == pytest.approx(1e-4, rel=0.05)
    fields = generator.sample(range(6), (2, 64, 64)) / prior.scale
    noisy = fields + 0.3 * torch.randn(fields.shape, generator=torch.Generator().manual_seed(0))
    found = float((prior.denoise(noisy, 0.3) - fields).square().mean().sqrt())
    assert 0.9 < uncertainty(prior, 0.3, (2, 8, 8)) / found < 1.1


@each_generator
@pytest.mark.parametrize("strength", [0.4, 1.2, 3.3])
def test_an_unknown_strength_and_kind_are_told_by_the_field(generator, strength):
    """Hardly worse than if both had been known, where the wrong strength is."""
    sigma = 0.15
    unknown, frame = TiltPrior(), (32, 32)
    known, wrong = (TiltPrior(strength * factor, generator) for factor in (1.0, 0.05))
    fields = generator.sample(range(8), (2, *frame)).double() * strength / generator.field.rms
    numbers = torch.Generator().manual_seed(0)
    noisy = fields + sigma * torch.randn(fields.shape, dtype=torch.float64, generator=numbers)

    def error(prior):
        estimate = prior.denoise(noisy / prior.scale, sigma / prior.scale) * prior.scale
        return float((estimate - fields).square().mean().sqrt())

    assert error(unknown) < 1.12 * error(known)
    assert error(wrong) > 1.3 * error(known)


def test_weights_are_the_evidence():
    """Against the densities of a frame, computed densely."""
    prior, sigma = TiltPrior(), 0.8
    noisy = drawn(dense(prior.components[7].field, 1.0), 1).reshape(1, 2, *FRAME) * 0.4 + sigma * noise(1)
    scores = []
    for component in prior.components:
        covariance = component.gain**2 * dense(component.field, 1.0)
        covariance = covariance + sigma**2 * torch.eye(len(covariance), dtype=torch.float64)
        law = torch.distributions.MultivariateNormal(torch.zeros(len(covariance), dtype=torch.float64), covariance)
        scores.append(law.log_prob(noisy.flatten()))
    wanted = torch.stack(scores).softmax(0)
    found = prior.weights(noisy, sigma)[0]
    assert found.sum() == pytest.approx(1)
    # What the cosine basis neglects, as a distance in total variation.
    assert (found - wanted).abs().sum() / 2 < 0.2


@pytest.mark.parametrize("prior", [TiltPrior(), TiltPrior(1.0, TiltPatches())], ids=["unknown", "known"])
@pytest.mark.parametrize("sigma", [30.0, 1.0, 0.1])
def test_a_field_does_not_depend_on_its_batch(prior, sigma):
    fields = torch.stack([TiltPatches().sample([1], (2, 16, 20))[0], 5 * torch.ones(2, 16, 20), torch.zeros(2, 16, 20)])
    noisy = fields + sigma * torch.randn(fields.shape, generator=torch.Generator().manual_seed(0))
    together = prior.denoise(noisy, sigma)
    assert together.dtype == noisy.dtype
    for index in range(3):
        alone = prior.denoise(noisy[index : index + 1], sigma)[0]
        torch.testing.assert_close(alone, together[index], rtol=1e-5, atol=1e-5)


def test_the_derivative_is_right():
    noisy = noise(1)[..., :3, :2].clone().requires_grad_()
    for prior in (TiltPrior(iterations=30), TiltPrior(0.7, TiltKolmogorov(), iterations=30)):
        assert torch.autograd.gradcheck(lambda value, prior=prior: prior.denoise(value, 0.6), (noisy,), atol=1e-5)


def test_nothing_wraps_around():
    """A tilt that is measured along the left edge says nothing of the right one."""
    noisy = torch.zeros(1, 2, 24, 24, dtype=torch.float64)
    noisy[..., :2] = 2.0
    found = TiltPrior(1.0, TiltPatches()).denoise(noisy, 0.5)
    assert found[..., 0].min() > 1
    assert found[..., -4:].abs().max() < 1e-6


def test_an_unguided_sampler_reproduces_the_covariance():
    generator = TiltKolmogorov(distance=2e4)
    prior, frame, count = TiltPrior(generator=generator), (4, 5), 1000
    sigmas = Karras(40).sigmas().tolist()
    numbers = torch.Generator().manual_seed(5)
    noisy = sigmas[0] * torch.randn(count, 2, *frame, generator=numbers, dtype=torch.float64)
    for sigma, following in itertools.pairwise(sigmas):
        noisy = DDIM(0.0)(noisy, prior.posterior(noisy, sigma), sigma, following, noisy)
    found = noisy.flatten(1).T.cov() * prior.scale**2
    wanted = dense(generator.field, 1.0, frame)
    assert (found - wanted).abs().max() < 0.2 * float(wanted.max())


def test_several_pixels_are_within_reach():
    chart = TiltPrior().normalization((2, 30, 40))
    far = torch.full((1, 2, 30, 40), 7.0)
    assert chart.shape == chart.physical_shape == (2, 30, 40)
    found = chart.physical(TiltPrior().denoise(chart.normalized(far), 0.02))
    torch.testing.assert_close(found, far, rtol=0, atol=0.05)


def test_the_root_of_the_covariance_that_is_left():
    """Of the estimate in the cosine basis."""
    prior, sigma, count = TiltPrior(generator=TiltPatches()), 0.4, 2 * math.prod(FRAME)
    eye = torch.eye(count, dtype=torch.float64).reshape(-1, 2, *FRAME)
    covariance = prior.posterior(torch.zeros_like(eye), sigma).covariance
    root, transposed = covariance.root(eye).flatten(1), covariance.root_transposed(eye).flatten(1)
    torch.testing.assert_close(root, transposed.T)
    basis = torch.kron(*(cosines(side) for side in FRAME))
    basis = torch.block_diag(basis, basis)
    power = (TiltPatches().field.cosine_power(FRAME) / prior.scale**2).flatten()
    wanted = basis.T @ torch.diag(power * sigma**2 / (power + sigma**2)) @ basis
    torch.testing.assert_close(root.T @ root, wanted)


def test_options_by_name():
    prior = build_component("prior", "tilt", {"generator": "tilt-kolmogorov", "generator.d_over_r0": "4"})
    assert prior.scale == pytest.approx(2 * TiltKolmogorov(4.0).field.strength)
    assert len(prior.components) == 1
    assert build_component("prior", "tilt", {"strength": "1.5"}).scale == 3.0
    assert len(build_component("prior", "tilt", {"generator": "tilt-patches", "strength": "unknown"}).components) == 5
    assert isinstance(ipt.build("turbulence", "gaussian").solver.priors["tilt"], TiltPrior)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: TiltPrior(0.0), "tilt.strength is a root mean square above 0 in pixels"),
        (lambda: TiltPrior("strong"), "tilt.strength is a root mean square above 0 in pixels"),
        (lambda: TiltPrior(math.inf), "tilt.strength is a root mean square above 0 in pixels"),
        (lambda: TiltPrior(generator=MotionKernels()), "MotionKernels does not say what statistics"),
        (lambda: TiltPrior(iterations=-1), "iterations is a whole number"),
        (lambda: TiltPrior().normalization((1, 8, 8)), r"a tilt field is \(2, height, width\)"),
    ],
)
def test_what_cannot_be_is_refused(make, said):
    with pytest.raises(IptError, match=said):
        make()
