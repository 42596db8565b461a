"""The formulas of the tilts' statistics against published numbers and other ways to compute them."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.integrate import quad
from scipy.special import gamma, j1, jv

from ipt.linalg.tilts import TILT_VARIANCE, KolmogorovTilt, PatchTilt, gaussian_taps


def test_the_variance_is_the_published_one():
    """From the spectrum of the refractive index, .033 Cn2 k^(-11/3), and r0 = (.423 k^2 Cn2 3/8 L)^(-3/5)."""
    integral = 3 * quad(lambda v: (2 * j1(v**3) / v**3) ** 2, 1e-9, 4, limit=400)[0]
    coefficient = 0.5 * 0.033 * 2 ** (1 / 3) * integral / 0.423
    assert coefficient == pytest.approx(TILT_VARIANCE, rel=2e-3)


@pytest.mark.parametrize("lag", [0.3, 1.0, 4.0])
def test_the_covariance_is_the_double_integral(lag):
    """Summed over a fine grid of the path and of the layers' waves."""
    x = ((torch.arange(4000, dtype=torch.float64) + 0.5) * 3.2 / 4000).numpy() ** 3
    weight = (2 * j1(x) / x) ** 2
    t = ((torch.arange(300, dtype=torch.float64) + 0.5) / 300).numpy()[:, None]
    phase = 2 * lag * t / (1 - t) * x

    def path(sign):
        layers = ((jv(0, phase) + sign * jv(2, phase)) * weight).sum(1) / weight.sum()
        return (8 / 3 * (1 - t[:, 0]) ** (5 / 3) * layers).mean()

    found = KolmogorovTilt(1.0, lag).covariance(torch.tensor(1.0), torch.tensor(0.0))
    assert float(found[0, 0]) == pytest.approx(path(-1), abs=2e-3)
    assert float(found[1, 1]) == pytest.approx(path(1), abs=2e-3)
    assert float(found[0, 1]) == 0


def test_far_off_tilts_across_the_lag_are_half_as_strong_again_as_along_it():
    """And both fall like the cube root of the distance: what a power law of 5/3 in the phase makes of gradients."""
    near, far = (KolmogorovTilt(1.0, lag).covariance(torch.tensor(0.0), torch.tensor(1.0)) for lag in (1e5, 8e5))
    assert float(near[0, 0] / near[1, 1]) == pytest.approx(1.5, rel=2e-3)
    assert float(near[0, 0] / far[0, 0]) == pytest.approx(2.0, rel=2e-2)
    # The first term of the series of g, over the path with a = 2 s t / (1 - t).
    path = 8 / 3 * math.gamma(2 / 3) * math.gamma(3) / math.gamma(11 / 3) * 2e5 ** (-1 / 3)
    first = 2 ** (-2 / 3) * gamma(1 / 6) / gamma(5 / 6) / 3.4575
    assert float(near[1, 1]) == pytest.approx(0.8 * first * path, rel=2e-2)


def test_the_covariance_turns_with_the_lag():
    field = KolmogorovTilt(1.0, 0.3)
    along, across = field.covariance(torch.tensor(5.0), torch.tensor(0.0)).diagonal().tolist()
    found = field.covariance(torch.tensor(3.0), torch.tensor(-4.0))
    wanted = [[across + 0.36 * (along - across), -0.48 * (along - across)], [0.0, across + 0.64 * (along - across)]]
    wanted[1][0] = wanted[0][1]
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64))


def test_patches_are_as_rough_as_their_gaussian():
    lag = torch.tensor([0.0, 1.0, 2.0, 7.0])
    found = PatchTilt(2.0, 1.0).covariance(lag, torch.zeros(4))
    taps = gaussian_taps(1.0)
    wanted = torch.stack([(taps[: len(taps) - k] * taps[k:]).sum() for k in (0, 1, 2)]) / taps.square().sum()
    torch.testing.assert_close(found[0, 0, :3], 4 * wanted)
    assert found[0, 0, 3] == 0 and (found[0, 1] == 0).all()
    assert float(found[0, 0, 1] / 4) == pytest.approx(math.exp(-1 / 4), rel=0.02)
