"""What a prior is by default, and several unknowns of one kind: each is seen alone."""

from __future__ import annotations

import pytest
import torch

from ipt.core.prior import Prior, Replicated
from ipt.linalg.covariances import Isotropic
from ipt.linalg.normalization import Normalization
from ipt.priors.analytic import GaussianPrior
from ipt.priors.tilt import TiltPrior


def test_each_copy_is_denoised_as_if_alone():
    prior = TiltPrior(1.0)
    noisy = torch.randn(2, 6, 8, 8, generator=torch.Generator().manual_seed(0))
    together = Replicated(prior, 3).denoise(noisy, 0.7)
    for index in range(3):
        part = slice(2 * index, 2 * index + 2)
        torch.testing.assert_close(together[:, part], prior.denoise(noisy[:, part], 0.7), rtol=1e-5, atol=1e-6)


def test_covariances_are_those_of_each_copy():
    prior = TiltPrior(1.0)
    noisy, white = (torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    both, one = Replicated(prior, 2).posterior(noisy, 0.5), prior.posterior(noisy[:, 2:], 0.5)
    pairs = [(both.covariance, one.covariance), (both.prior_covariance, one.prior_covariance)]
    for together, second in pairs:
        for name in ("root", "root_transposed", "apply", "solve"):
            found, expected = (getattr(which, name) for which in (together.scaled(2.0), second.scaled(2.0)))
            torch.testing.assert_close(found(white)[:, 2:], expected(white[:, 2:]), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(together.variance[:, 2:].expand(1, 2, 1, 1), second.variance.expand(1, 2, 1, 1))
    plain = Replicated(GaussianPrior(), 2).posterior(noisy, 0.5)
    assert isinstance(plain.covariance, Isotropic) and plain.prior_covariance is None


def test_the_normalization_is_that_of_one():
    prior: Prior = TiltPrior(1.0)
    made = Replicated(prior, 3).normalization((6, 8, 9))
    assert made.shape == made.physical_shape == (6, 8, 9) and made.scale == prior.normalization((2, 8, 9)).scale
    with pytest.raises(ValueError, match="7 channels are not 3"):
        Replicated(prior, 3).normalization((7, 8, 9))


def test_by_default_the_errors_are_independent_and_those_of_a_gaussian():
    class Halved(Prior):
        def normalization(self, shape):
            return Normalization(shape, shape)

        def denoise(self, noisy, sigma):
            return noisy / 2

    noisy = torch.randn(2, 3, 4, 5)
    found = Halved().posterior(noisy, 0.5)
    assert torch.equal(found.mean, noisy / 2) and isinstance(found.covariance, Isotropic)
    torch.testing.assert_close(found.covariance.variance, torch.full((2, 1, 1, 1), 0.125))
    assert found.variance_interpolation is None and found.prior_covariance is None
