"""The prior of smooth fields against the dense conditional mean of small ones, and what a field of fog comes to."""

from __future__ import annotations

from contextlib import suppress
from unittest import SkipTest

import pytest
import torch

from ipt.core.errors import IptError
from ipt.linalg.fields import MaternField
from ipt.operators.fields import SmoothFields
from ipt.priors.smooth import SmoothPrior
from ipt.testing import generator_checks, prior_checks

FRAME = (9, 12)


def dense(field: MaternField) -> torch.Tensor:
    """The covariance of fields (1, H, W), flattened."""
    rows, columns = torch.meshgrid(*(torch.arange(side, dtype=torch.float64) for side in FRAME), indexing="ij")
    rows, columns = rows.flatten(), columns.flatten()
    return field.covariance(rows[:, None] - rows, columns[:, None] - columns)[0, 0]


def numbers(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_the_covariance_is_that_of_its_docstring():
    field = MaternField(2.0, 5.0, 3.0)
    there = field.covariance(torch.tensor([0.0, 3.0, 1e4]), torch.tensor([0.0, 4.0, 0.0]))[0, 0]
    assert there.tolist() == pytest.approx([13.0, 9 + 4 * 0.4834, 9.0], rel=1e-3)


@pytest.mark.parametrize("sigma", [10.0, 0.5, 0.05])
def test_the_denoiser_is_the_conditional_mean(sigma):
    """Of a known length and deviation, in all channels; the level is one of the unknowns."""
    prior = SmoothPrior(2, 6, length=4, std=0.6, iterations=60)
    assert prior.normalization((2, *FRAME)).scale == 2
    covariance = dense(MaternField(0.3, 4.0, (1 / 3) ** 0.5))
    root = torch.linalg.cholesky(covariance + 1e-9 * torch.eye(len(covariance), dtype=torch.float64))
    noisy = (numbers(0, 6, len(covariance)) @ root.T).reshape(3, 2, *FRAME) + sigma * numbers(1, 3, 2, *FRAME)
    gain = torch.linalg.solve(covariance + sigma**2 * torch.eye(len(covariance), dtype=torch.float64), covariance)
    wanted = (noisy.flatten(2) @ gain).reshape(noisy.shape)
    deviation = (covariance - covariance @ gain).diagonal().mean().sqrt()
    assert (prior.denoise(noisy, sigma) - wanted).abs().max() < 0.02 * deviation


def test_length_and_strength_are_found_from_the_field():
    prior = SmoothPrior(0, 1)
    for length, std in ((4.0, 0.25), (36.0, 0.25), (12.0, 0.04)):
        drawn = SmoothFields(0, 1, length, std).sample(range(4), (1, 64, 96)).double()
        normalized = prior.normalization((1, 64, 96)).normalized(drawn)
        weights = prior.weights(normalized + 0.02 * numbers(3, *normalized.shape), 0.02).mean(0)
        likely = prior.components[int(weights.argmax())].field
        assert likely.length == length and likely.std == pytest.approx(2 * std)


def test_a_smooth_field_is_denoised_better_than_independent_entries_can_be():
    drawn = SmoothFields(0.1, 0.9, 16).sample(range(8), (3, 48, 48)).double()
    prior = SmoothPrior(0.1, 0.9)
    normalization = prior.normalization((3, 48, 48))
    clean = normalization.normalized(drawn)
    posterior = prior.posterior(clean + 0.5 * numbers(5, *clean.shape), 0.5)
    error = (posterior.mean - clean).square().mean().sqrt()
    assert error < 0.15 and posterior.prior_covariance is None
    assert float(posterior.covariance.variance.mean().sqrt()) == pytest.approx(float(error), rel=1.0)


@pytest.mark.parametrize("shape", [(1, 16, 24), (3, 12, 12)])
def test_prior_and_generator_keep_their_promises(shape):
    generator = SmoothFields(2, 4)
    for check in [*prior_checks(SmoothPrior(2, 4), shape=shape), *generator_checks(generator, shape=shape)]:
        with suppress(SkipTest):
            check()


def test_fields_lie_within_their_range_and_are_smooth():
    drawn = SmoothFields(0.2, 0.8, (20, 40), 0.3).sample(range(16), (2, 32, 40))
    assert drawn.min() >= 0.2 and drawn.max() <= 0.8
    assert float((drawn[..., 1:] - drawn[..., :-1]).std()) < 0.2 * float(drawn.std())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: SmoothPrior(1, 1), "low < high"),
        (lambda: SmoothPrior(length=0), 'length is a number above 0, or "unknown"'),
        (lambda: SmoothPrior(std="some"), 'std is a number above 0, or "unknown"'),
        (lambda: SmoothPrior(iterations=-1), "iterations is a whole number"),
        (lambda: SmoothPrior().normalization((8, 8)), "channels, height, width"),
        (lambda: SmoothFields(1, 0), "low < high"),
        (lambda: SmoothFields(std=0), "std is a number above 0"),
        (lambda: SmoothFields(length=(9, 3)), "length must be an interval"),
    ],
)
def test_what_cannot_be_is_refused(make, said):
    with pytest.raises(IptError, match=said):
        make()
