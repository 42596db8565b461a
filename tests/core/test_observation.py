"""What was measured: its arguments are checked once, and what a mask leaves out has no say."""

from __future__ import annotations

import pytest
import torch

from ipt.core.errors import IptError
from ipt.core.observation import Observation

MEASUREMENT = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
MASK = torch.ones(1, 1, 4, 5)
MASK[..., 0] = 0


def test_one_noise_level_and_one_mask_are_those_of_all_images():
    found = Observation.checked(MEASUREMENT, 0.1, MASK)
    assert found.noise.shape == (2, 1, 1, 1) and found.mask.shape == (2, 1, 4, 5) and len(found) == 2
    torch.testing.assert_close(found.noise_variance, torch.full((2, 1, 1, 1), 0.01))


def test_what_was_not_measured_is_nothing_even_where_it_is_no_number():
    spoilt = MEASUREMENT.clone()
    spoilt[..., 0] = torch.nan
    found = Observation.checked(spoilt, 0.1, MASK)
    assert (found.measurement[..., 0] == 0).all() and found.residual(torch.ones(2, 3, 4, 5))[..., 0].abs().max() == 0
    residual = 0.5 * torch.ones(2, 3, 4, 5)
    torch.testing.assert_close(found.rms(found.mask * residual), torch.full((2,), 0.5))
    torch.testing.assert_close(Observation.checked(MEASUREMENT, 0.1).rms(residual), torch.full((2,), 0.5))


def test_repeated_images_stand_in_a_row():
    found = Observation.checked(MEASUREMENT, torch.tensor([0.1, 0.2]), MASK).repeated(2)
    assert torch.equal(found.measurement[:2], found.measurement[:1].expand(2, -1, -1, -1))
    torch.testing.assert_close(found.noise.flatten(), torch.tensor([0.1, 0.1, 0.2, 0.2]))
    assert len(found.mask) == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((MEASUREMENT[0], 0.1), "batch, channels, height, width"),
        ((MEASUREMENT, 0.0), "above 0 and finite, not 0"),
        ((MEASUREMENT, torch.nan), "above 0 and finite"),
        ((MEASUREMENT, torch.tensor([0.1, 0.1, 0.1])), "3 noise levels for 2 images"),
        ((MEASUREMENT / 0, 0.1), "NaN or infinite"),
        ((MEASUREMENT, 0.1, MASK[..., 1:]), "does not fit a measurement"),
        ((MEASUREMENT, 0.1, 0.5 * MASK), "1 where something was measured"),
        ((MEASUREMENT, 0.1, 0 * MASK), "nowhere 0 all over an image"),
    ],
)
def test_wrong_arguments_are_refused(arguments, words):
    with pytest.raises(IptError, match=words):
        Observation.checked(*arguments)


def test_a_map_of_noise_levels_weighs_so_that_all_noise_is_alike():
    levels = torch.full((1, 1, 4, 5), 0.1)
    levels[..., 2:] = 0.4
    found = Observation.checked(MEASUREMENT, levels)
    weight = found.mask * levels
    torch.testing.assert_close(weight, found.noise.expand_as(weight))
    # The harmonic mean of the variances: entries of exactly this level weigh 1 on average.
    torch.testing.assert_close(found.mask.square().mean((1, 2, 3)), torch.ones(2))
    noise = levels * torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(1))
    rest = Observation.checked(MEASUREMENT, levels).residual(MEASUREMENT - noise)
    torch.testing.assert_close(
        found.rms(rest) / found.noise.flatten(), (noise / levels).square().mean((1, 2, 3)).sqrt()
    )


def test_what_is_masked_has_no_part_in_the_level():
    levels = torch.full((1, 1, 4, 5), 0.1)
    levels[..., 0] = 1e-6
    found = Observation.checked(MEASUREMENT, levels, MASK)
    torch.testing.assert_close(found.noise.flatten(), torch.full((2,), 0.1))
    torch.testing.assert_close(found.mask, MASK.expand(2, 3, 4, 5))


def test_poisson_noise_has_the_weights_of_the_signal():
    found = Observation.checked(MEASUREMENT, 0.02, gain=0.01)
    signal = torch.full_like(MEASUREMENT, 0.25)
    at = found.at(signal)
    torch.testing.assert_close(at.mask, found.noise.expand(2, 3, 4, 5) / (0.02**2 + 0.01 * 0.25) ** 0.5)
    assert at.gain is None and torch.equal(found.residual(signal), at.residual(signal))
    # Nothing is without noise: one count has the variance of one.
    assert torch.isfinite(Observation.checked(MEASUREMENT, 0.0, gain=0.01).at(0 * signal).mask).all()
    twice = found.repeated(2)
    assert torch.equal(twice.at(signal.repeat_interleave(2, 0)).mask, at.mask.repeat_interleave(2, 0))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((MEASUREMENT, torch.ones(1, 2, 4, 5)), "maps of their size"),
        ((MEASUREMENT, torch.zeros(1, 1, 4, 5)), "above 0"),
        ((MEASUREMENT, 0.1, None, -1.0), "above 0"),
        ((MEASUREMENT, 0.0, None, 0.0), "above 0"),
    ],
)
def test_wrong_noise_is_refused(arguments, words):
    with pytest.raises(IptError, match=words):
        Observation.checked(*arguments)
