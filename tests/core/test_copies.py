"""Several unknowns of one kind: each is seen alone."""

from __future__ import annotations

import pytest
import torch

from ipt.core.copies import Copies
from ipt.core.interfaces import Prior
from ipt.priors.analytic import GaussianPrior
from ipt.priors.tilt import TiltPrior


def test_each_copy_is_denoised_as_if_alone():
    prior = TiltPrior(1.0)
    noisy = torch.randn(2, 6, 8, 8, generator=torch.Generator().manual_seed(0))
    together = Copies(prior, 3).denoise(noisy, 0.7)
    for index in range(3):
        part = slice(2 * index, 2 * index + 2)
        torch.testing.assert_close(together[:, part], prior.denoise(noisy[:, part], 0.7), rtol=1e-5, atol=1e-6)


def test_spreads_are_those_of_each_copy():
    prior = TiltPrior(1.0)
    noisy, white = (torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    for name in ("spread", "prior_spread"):
        both, one = (getattr(which, name) for which in (Copies(prior, 2), prior))
        second = one(noisy[:, 2:], 0.5)
        torch.testing.assert_close(both(noisy, 0.5).forward(white)[:, 2:], second.forward(white[:, 2:]))
        torch.testing.assert_close(both(noisy, 0.5).transposed(white)[:, 2:], second.transposed(white[:, 2:]))
    assert Copies(GaussianPrior(), 2).spread(noisy, 0.5) is None


def test_the_chart_and_uncertainty_are_those_of_one():
    prior: Prior = TiltPrior(1.0)
    chart = Copies(prior, 3).chart((6, 8, 9))
    assert chart.shape == chart.physical_shape == (6, 8, 9) and chart.scale == prior.chart((2, 8, 9)).scale
    assert Copies(prior, 3).uncertainty(0.5) == prior.uncertainty(0.5)
    with pytest.raises(ValueError, match="7 channels are not 3"):
        Copies(prior, 3).chart((7, 8, 9))
