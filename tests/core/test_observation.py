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
