"""A denoiser's error on held-out examples."""

from __future__ import annotations

import pytest

from ipt.priors.edm import EDMDenoiser
from ipt.priors.unet import UNet
from ipt.training.sources import ArraySource
from ipt.training.validation import VALIDATION_SIGMAS, validate

from .conftest import NETWORK, gratings


def test_the_untrained_network_has_the_error_that_its_formula_says():
    # The output layer starts at zero, so D(x + sigma n) = c (x + sigma n) with c = .25 / (sigma^2 + .25), whose mean
    # squared error is (1 - c)^2 mean(x^2) + c^2 sigma^2.
    pictures = gratings(200, 16)
    source = ArraySource(pictures, held_out=150)
    denoiser = EDMDenoiser(UNet(NETWORK))
    found = validate(denoiser, source, count=150)
    power = float(source.validation(150)[0].square().mean())
    assert found is not None and tuple(found) == VALIDATION_SIGMAS
    for sigma, error in found.items():
        skip = 0.25 / (sigma**2 + 0.25)
        assert error == pytest.approx((1 - skip) ** 2 * power + skip**2 * sigma**2, rel=0.02)


def test_the_error_is_the_same_at_every_call_and_nothing_where_it_is_cancelled():
    source, denoiser = ArraySource(gratings(), held_out=4), EDMDenoiser(UNet(NETWORK), 0.5)
    first, again = (validate(denoiser, source, (0.1, 1.0), count=4) for _ in range(2))
    assert first == again and first is not None and list(first) == [0.1, 1.0]
    answers = iter([False, True])
    assert validate(denoiser, source, (0.1, 1.0), count=4, cancelled=lambda: next(answers)) is None
