"""The image's error as noise with a spectrum: what division by it does, and that a scalar is found better with it."""

from __future__ import annotations

import math

import torch

from ipt.core.abilities import Belief
from ipt.core.observation import Observation
from ipt.core.operator import ParameterSpec, ParametricOperator
from ipt.guidance.gauss_newton import image_step, parameter_step
from ipt.guidance.whitening import correlated, white
from ipt.linalg.covariances import Isotropic
from ipt.linalg.spectra import SpectralCovariance

SIDE = 32


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def column(value, batch):
    return torch.full((batch, 1, 1, 1), value, dtype=torch.float64)


def gaussian(mean, variance, sigma=math.inf, covariance=None):
    return Belief(mean, covariance or Isotropic(variance), sigma)


def observed(measurement, variance):
    return Observation(measurement, variance.sqrt())


class Smooth(ParametricOperator):
    """Blur by a Gaussian of unknown width, in pixels."""

    def parameters(self, image_shape):
        return {"width": ParameterSpec((1, 1, 1), "standard deviation", "px")}

    def forward(self, image, width):
        rows, columns = torch.fft.fftfreq(SIDE).to(image)[:, None], torch.fft.rfftfreq(SIDE).to(image)
        response = (-2 * (math.pi * width) ** 2 * (rows.square() + columns.square())).exp()
        return torch.fft.irfft2(torch.fft.rfft2(image) * response, s=(SIDE, SIDE))


def test_it_is_symmetric_and_positive_and_an_image_s_own():
    errors = [normal(3, 3, 8, 9, seed=seed) * column(1.0, 3) for seed in range(2)]
    errors = [error * torch.tensor([0.1, 1.0, 10.0]).reshape(3, 1, 1, 1) for error in errors]
    weigh = correlated(column(0.01, 3), errors)
    first, second = normal(3, 3, 8, 9, seed=5), normal(3, 3, 8, 9, seed=6)
    torch.testing.assert_close((first * weigh(second)).sum((1, 2, 3)), (second * weigh(first)).sum((1, 2, 3)))
    assert ((first * weigh(first)).sum((1, 2, 3)) > 0).all()
    alone = correlated(column(0.01, 1), [error[1:2] for error in errors])
    torch.testing.assert_close(alone(first[1:2]), weigh(first)[1:2], rtol=1e-10, atol=0)


def test_white_errors_are_as_flat_noise_of_twice_their_variance():
    """Their own, and as much again for what the spectrum may be wrong by."""
    errors = [0.5 * normal(1, 1, 64, 64, seed=seed) for seed in range(4)]
    residual = normal(1, 1, 64, 64, seed=9)
    weighed, expected = correlated(column(0.1, 1), errors)(residual), white(column(0.1 + 2 * 0.25, 1))(residual)
    assert (weighed - expected).square().mean().sqrt() < 0.15 * expected.square().mean().sqrt()
    assert float((residual * weighed).sum() / (residual * expected).sum() - 1) < 0.05


def test_where_the_image_errs_the_residual_counts_less():
    error = SpectralCovariance(1.0, column(0.2**2, 1))
    weigh = correlated(column(1e-4, 1), [error.root(normal(1, 1, SIDE, SIDE, seed=seed)) for seed in range(4)])
    place = torch.arange(SIDE, dtype=torch.float64) / SIDE
    slow, fast = ((2 * math.pi * turns * place).cos().expand(1, 1, SIDE, SIDE) for turns in (1, 10))
    assert 10 * (slow * weigh(slow)).sum() < (fast * weigh(fast)).sum()


def test_a_width_is_found_better_when_the_error_s_spectrum_is_known():
    """Over pictures that err as a denoiser's estimates do."""
    batch = 24
    error = SpectralCovariance(1.0, column(0.1**2, batch))
    estimate = 0.5 + SpectralCovariance(math.inf, column(0.2**2, batch)).root(normal(batch, 1, SIDE, SIDE))
    picture = estimate + error.root(normal(batch, 1, SIDE, SIDE, seed=1))
    width = column(1.3, batch)
    measurement = Smooth().forward(picture, width) + 0.01 * normal(batch, 1, SIDE, SIDE, seed=2)
    belief = {"width": gaussian(column(2.0, batch), column(1.0, batch))}
    errors = []
    for known in (None, error):
        image = gaussian(estimate, column(0.01, batch), 1.0, known)
        found = parameter_step(Smooth(), observed(measurement, column(1e-4, batch)), image, belief, {}, 6)
        errors.append(float((found["width"] - width).square().mean().sqrt()))
    assert errors[1] < 0.7 * errors[0] and errors[1] < 0.3


def test_the_image_step_weighs_with_the_whole_covariance():
    shape = (1, 6, 6)
    error = SpectralCovariance(0.5, column(0.2**2, 2))

    class Half(ParametricOperator):
        def parameters(self, image_shape):
            return {}

        def forward(self, image):
            return 0.5 * image

    measurement, mean = normal(2, *shape, seed=1), normal(2, *shape, seed=2)
    found = image_step(
        Half(), observed(measurement, column(0.01, 2)), gaussian(mean, column(0.04, 2), 0.5, error), {}, 1, 60
    )
    root = (
        SpectralCovariance(0.5, column(0.2**2, 1))
        .root(torch.eye(36, dtype=torch.float64).reshape(36, *shape))
        .flatten(1)
        .T
    )
    covariance = root @ root.T
    gain = 0.5 * covariance @ torch.linalg.inv(0.25 * covariance + 0.01 * torch.eye(36, dtype=torch.float64))
    for index in range(2):
        wanted = mean[index].flatten() + gain @ (measurement - 0.5 * mean)[index].flatten()
        torch.testing.assert_close(found[index].flatten(), wanted, rtol=0, atol=1e-8)
