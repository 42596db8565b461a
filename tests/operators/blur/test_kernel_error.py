"""How wrong a denoised kernel may be, and what the kernel step gains by knowing it."""

from __future__ import annotations

import math

import pytest
import torch

from ipt.core.abilities import Belief
from ipt.core.observation import Observation
from ipt.linalg.covariances import Isotropic
from ipt.operators.blur import Blur, uncertainty
from ipt.operators.blur.kernel_error import denoised_error, error_variance

SIDE = 31


def normal(*shape, seed):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def error_deviation(kernel, sigma):
    found, level = denoised_error(kernel, sigma, True)
    assert level == sigma
    return found


def line():
    """An uneven horizontal line of 15 px, centred, its peak 1, and a faint pixel beside it."""
    kernel = torch.zeros(1, 1, SIDE, SIDE, dtype=torch.float64)
    kernel[..., 15, 8:23] = 0.3 + 0.1 * (torch.arange(15.0).double() - 7).abs()
    kernel[..., 16, 15] = 0.1
    return kernel


def test_a_kernel_is_wrong_near_its_path_and_hardly_elsewhere():
    fine, coarse = error_deviation(line(), 0.03), error_deviation(line(), 1.0)
    assert fine.shape == (1, 1, SIDE, SIDE) and fine[0, 0, 15, 8:23].min() > 0.99
    assert fine[0, 0, 12:19, 15].min() > 0.98, "the path may be off by three pixels"
    assert float(fine[0, 0, 4, 15]) == float(fine.min()) == pytest.approx(math.sqrt(0.1))
    # The more noise there was, the less it can be told where the light is not.
    assert float(coarse.max() / coarse.min()) < float(fine.max() / fine.min())


@pytest.mark.parametrize("sigma", [0.03, 1.0])
def test_it_does_not_depend_on_the_kernels_scale_or_place(sigma):
    kernel = line()
    torch.testing.assert_close(error_deviation(7 * kernel, sigma), error_deviation(kernel, sigma))
    down = error_deviation(kernel.roll(4, -2), sigma)
    torch.testing.assert_close(down, error_deviation(kernel, sigma).roll(4, -2))
    both = error_deviation(torch.cat([kernel, kernel.transpose(-1, -2)]), sigma)
    torch.testing.assert_close(both[1:], error_deviation(kernel, sigma).transpose(-1, -2))


@pytest.mark.parametrize(
    ("kernel", "sigma", "path"),
    [(line(), math.inf, True), (line(), 0.03, False), (line()[..., 4:27, 4:27], 0.03, True)],
)
def test_not_seen_or_no_path_or_in_a_narrow_window_it_may_be_wrong_anywhere(kernel, sigma, path):
    found, level = denoised_error(kernel, sigma, path)
    assert (found == 1).all() and level == math.sqrt(2) * sigma


def test_a_kernel_of_zeros_is_finite():
    assert torch.isfinite(error_deviation(torch.zeros(1, 1, 8, 29), 0.1)).all()


def test_the_variance_is_that_of_the_entries_and_no_more_than_kernels_have():
    kernel = line() / line().sum()
    padded = Blur(SIDE, "circular").padded(torch.zeros(1, 1, 64, 64), kernel)
    power = padded.transfer(kernel).abs().square()
    entries, level = torch.full((1, 1, 1, 1), 40.0).double(), torch.full((1, 1, 1, 1), 1e-4).double()
    little = error_variance(padded, kernel, power, entries, level)
    limit = error_variance(padded, kernel, power, entries, torch.full_like(level, math.inf))
    assert (little < 40e-8).all() and little[..., 20:, 20:].median() > 0.9 * 40e-8
    assert limit[..., 0, 0] < 1e-6 and (error_variance(padded, kernel, power, entries, 1e3 * level) < limit).all()


def found(sigma, monkeypatch, everywhere):
    """Root mean square error, of the peak, of the kernel step's answer to a noisy belief and the true picture."""
    if everywhere:
        monkeypatch.setattr(uncertainty, "denoised_error", lambda kernel, sigma, _: (torch.ones_like(kernel), sigma))
    kernel, operator = line(), Blur(SIDE, "circular")
    padded = operator.padded(torch.zeros(1, 1, 96, 96).double(), kernel)
    white = torch.fft.rfft2(normal(1, 1, 96, 96, seed=3))
    picture = 0.5 + padded.inverse(white * 0.02 * padded.frequencies(white.real).clamp(min=0.01) ** -1.3)
    measurement = operator.forward(picture, operator.constrain({"kernel": kernel})["kernel"])
    observation = Observation(
        measurement + 0.01 * normal(1, 1, 96, 96, seed=1), torch.full((1, 1, 1, 1), 0.01).double()
    )
    small = Isotropic(torch.full((1, 1, 1, 1), 1e-4).double())
    # A denoised kernel: wrong where the light is, 0 elsewhere.
    believed = kernel * (1 + 0.3 * normal(1, 1, SIDE, SIDE, seed=2)).clamp(min=0)
    answer = operator.parameter_step(
        observation, Belief(picture, small, 0.005), {"kernel": Belief(believed, small, sigma)}, {}
    )["kernel"]
    return float((answer - kernel).square().mean().sqrt()), float((believed - kernel).square().mean().sqrt())


@pytest.mark.parametrize("sigma", [0.1, 0.3])
def test_the_noise_of_the_data_does_not_spread_over_the_window(sigma, monkeypatch):
    known, before = found(sigma, monkeypatch, everywhere=False)
    spread, _ = found(sigma, monkeypatch, everywhere=True)
    assert known < 0.75 * spread and known < 0.5 * before
