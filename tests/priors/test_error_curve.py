"""How far a denoiser is off between the noise levels at which that was measured."""

from __future__ import annotations

import math

import pytest

from ipt.priors.error_curve import ErrorCurve

CURVE = ErrorCurve.measured([(0.02, 1e-4), (0.2, 4e-3), (2.0, 0.04)])


def test_at_the_levels_measured_it_is_what_was_measured():
    assert [CURVE(level) for level in (0.02, 0.2, 2.0)] == pytest.approx([0.01, 4e-3**0.5, 0.2])


def test_between_them_it_is_a_power_of_the_level():
    assert CURVE(math.sqrt(0.02 * 0.2)) == pytest.approx(math.sqrt(0.01 * 4e-3**0.5))
    levels = [CURVE(0.01 * 1.1**step) for step in range(100)]
    assert levels == sorted(levels)


def test_beyond_them_it_falls_with_the_noise_and_rises_no_further():
    assert CURVE(0.002) == pytest.approx(0.001) and CURVE(80.0) == pytest.approx(0.2)


def test_without_measurements_it_is_a_gaussians():
    assert ErrorCurve.measured([])(0.5) == pytest.approx(0.5 / 2**0.5)
    assert ErrorCurve.measured([(0.0, 1.0), (1.0, 0.0)])(0.5) == pytest.approx(0.5 / 2**0.5)
