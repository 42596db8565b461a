"""On posteriors that are known exactly: x ~ N(0, 1), y = x + n, so x | y ~ N(y / (1 + s^2), s^2 / (1 + s^2))."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ipt.bench.scores import BINS, Calibration, calibration
from ipt.bench.statistics import mean, summary, uniformity
from ipt.core.operator import ParametricOperator
from ipt.core.solver import Solver
from ipt.guidance.proximal import Proximal
from ipt.priors.analytic import GaussianPrior
from ipt.sampling.schedules import VP
from ipt.sampling.transitions import Ancestral

from .conftest import ROWS

NOISE = 0.6
DEVIATION = NOISE / math.hypot(1, NOISE)


def of_sampler(cases: int, samples: int, width: float = 1.0, shift: float = 0.0) -> list[Calibration]:
    """Sampled posteriors of simulated data, with `width` times the right deviation and moved by `shift` of it. The
    entries of a case share a large part of their noise, as those of a picture do."""
    numbers = np.random.default_rng(1)
    found = []
    for _ in range(cases):
        truth = numbers.standard_normal(100)
        measured = truth + NOISE * numbers.standard_normal(100)
        mean = measured / (1 + NOISE**2)
        drawn = mean + DEVIATION * (shift + width * numbers.standard_normal((samples, 100)))
        result = calibration(torch.from_numpy(drawn), torch.from_numpy(truth))
        assert result is not None
        found.append(result)
    return found


def coverage(found: list[Calibration], level: float) -> float:
    return float(np.mean([one.coverage[level] for one in found]))


@pytest.mark.parametrize("samples", [3, 19])
def test_the_exact_posterior_is_calibrated(samples):
    found = of_sampler(100, samples)
    assert coverage(found, 0.9) == pytest.approx(0.9, abs=0.012)
    assert coverage(found, 0.5) == pytest.approx(0.5, abs=0.015)
    statistic, p = uniformity([one.histogram for one in found])
    assert p > 0.01 and statistic < 2


@pytest.mark.parametrize(("width", "shift"), [(0.6, 0.0), (1.7, 0.0), (1.0, 0.5)])
def test_what_is_too_sure_too_vague_or_biased_is_caught(width, shift):
    found = of_sampler(100, 19, width, shift)
    _, p = uniformity([one.histogram for one in found])
    assert p < 1e-6
    if width < 1:
        assert coverage(found, 0.9) < 0.78
    if width > 1:
        assert coverage(found, 0.5) > 0.6


def test_p_values_are_right_where_entries_depend_on_each_other():
    """Each case shifts all its entries at once: with cases as the observations, one p value in ten is below .1."""
    numbers = np.random.default_rng(2)
    p_values = []
    for _ in range(200):
        histograms = []
        for _ in range(12):
            drawn = numbers.standard_normal((9, 1)) + 0.3 * numbers.standard_normal((9, 60))
            truth = numbers.standard_normal() + 0.3 * numbers.standard_normal(60)
            result = calibration(torch.from_numpy(drawn + 5), torch.from_numpy(truth + 5))
            assert result is not None
            histograms.append(result.histogram)
        tested = uniformity(histograms)
        assert tested is not None
        p_values.append(tested[1])
    share = np.mean(np.array(p_values) < 0.1)
    assert 0.04 < share < 0.17, "binomial: .1 +- .021"


class Direct(ParametricOperator):
    """y = x: what is measured is the picture with noise."""

    def parameters(self, image_shape):
        return {}

    def forward(self, image):
        return image

    def image_step(self, measurement, noise_variance, image, parameters, beliefs):
        precision = 1 / noise_variance + 1 / image.variance
        return (measurement / noise_variance + image.mean / image.variance) / precision


@pytest.mark.parametrize("assumed", [1.0, 0.3])
def test_a_solver_that_samples_the_posterior_is_calibrated_and_one_told_too_little_noise_is_not(assumed):
    """A Gaussian prior, whose denoiser is exact, and truths drawn from it (see tests/guidance/test_linear_gaussian)."""
    cases, samples, noise, prior = 25, 9, 0.2, GaussianPrior(mean=0.2, std=0.6)
    numbers = torch.Generator().manual_seed(4)
    truth = 0.6 + 0.3 * torch.randn(cases, 1, 6, 6, generator=numbers)
    measured = truth + noise * torch.randn(truth.shape, generator=numbers)
    solver = Solver(Direct(), {"image": prior}, Proximal(clip=False), VP(150), Ancestral("small"))
    drawn = solver.solve(measured.repeat_interleave(samples, 0), assumed * noise).image.reshape(cases, samples, 1, 6, 6)
    found = [calibration(*pair) for pair in zip(drawn, truth, strict=True)]
    _, p = uniformity([one.histogram for one in found])
    if assumed == 1:
        assert coverage(found, 0.9) == pytest.approx(0.9, abs=0.03) and p > 0.01
    else:
        assert coverage(found, 0.9) < 0.7 and p < 1e-6


def test_equal_values_count_for_every_rank_they_could_have():
    flat = calibration(torch.ones(4, 5), torch.ones(5))
    assert flat is not None and flat.histogram == pytest.approx([1 / BINS] * BINS)
    assert flat.coverage == pytest.approx({0.5: 0.5, 0.9: 0.9})


def test_a_truth_below_all_samples_is_in_the_lowest_place():
    found = calibration(torch.tensor([[2.0], [3.0], [4.0]]), torch.tensor([1.0]))
    assert found is not None
    # Rank 0 of 0..3: the lowest quarter.
    assert found.histogram == pytest.approx([0.4, 0.4, 0.2] + [0] * 7)
    assert found.coverage[0.5] == 0 and found.coverage[0.9] == pytest.approx(0.8)


def test_the_empty_part_of_a_kernel_is_not_counted():
    kernels = torch.zeros(4, 1, 3, 3)
    kernels[:, 0, 1, 1] = torch.tensor([0.2, 0.3, 0.4, 0.5])
    truth = torch.zeros(1, 3, 3)
    truth[0, 1, 1] = 0.1
    found = calibration(kernels, truth)
    assert found is not None and found.histogram[:2] == pytest.approx((0.5, 0.5))
    assert calibration(torch.zeros(2, 4), torch.zeros(4)) is None


def test_what_cannot_be_tested():
    assert uniformity([[0.5, 0.5]] * 2) is None
    assert uniformity([[0.5, 0.5]] * 3) == (0.0, 1.0)
    assert uniformity([[1.0, 0.0]] * 3) == (math.inf, 0.0)
    with pytest.raises(ValueError, match="two or more samples"):
        calibration(torch.zeros(1, 4), torch.zeros(4))
    with pytest.raises(ValueError, match="two or more samples"):
        calibration(torch.zeros(3, 5), torch.zeros(4))


# Means and summaries


def test_the_interval_covers_the_mean_as_often_as_it_says():
    numbers = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        value = mean(list(numbers.exponential(size=40)))
        assert value.low is not None and value.high is not None
        hits += value.low < 1 < value.high
    assert 0.86 < hits / 200 < 0.98


def test_a_mean_without_an_interval():
    assert mean([2.0]).low is None and mean([2.0]).mean == 2
    assert mean([2.0, math.inf]).mean == math.inf and mean([2.0, math.inf]).low is None


def test_a_summary_is_of_what_is_done():
    found = summary("dps", ROWS, {"fid": 12.5})
    assert (found.done, found.failed) == (4, 1)
    assert found.values["psnr"].mean == 21.5 and found.values["psnr"].count == 4
    assert found.values["memory"].mean == 3 * 2**20, "the most, not the mean"
    assert found.values["fid"].mean == 12.5
    assert found.histograms["kernel"] == pytest.approx([0.65, 0.35])
    assert 0 < found.values["kernel_rank_p"].mean < 1 < found.values["kernel_rank_f"].mean
    assert summary("dps", ROWS[4:], {}).values == {}
