"""The picture that is always at hand."""

from __future__ import annotations

import pytest
import torch

from ipt.core.errors import IptError
from ipt.operators.blur import Blur
from ipt.priors.analytic import GaussianPrior
from ipt.solve.example import NOISE, example, face


def test_the_face_is_whole_at_any_size():
    small, large = face(64), face(256)
    assert small.shape == (3, 64, 64) and large.shape == (3, 256, 256)
    assert small.min() >= 0 and small.max() <= 1
    shrunk = torch.nn.functional.interpolate(large[None], 64, mode="area")[0]
    assert (shrunk - small).abs().mean() < 0.02
    # The eyes, a third from the top and a third of the width apart, are darker than the cheeks below them.
    for column in (21, 42):
        assert small[:, 19:24, column - 2 : column + 3].min() < 0.35 < small[:, 28:32, column].min()


def test_it_is_degraded_as_the_seed_says_and_the_truth_is_kept():
    operator = Blur(border="circular")
    measured, truth = example(GaussianPrior(), operator, 3)
    assert measured.shape == (3, 128, 128) and measured.depth == truth.picture.depth == 16
    noise = measured.pixels - operator.forward(truth.picture.pixels[None], truth.parameters["kernel"][None])[0]
    inside = (measured.pixels > 0) & (measured.pixels < 1)
    assert float(noise[inside].std()) == pytest.approx(NOISE, rel=0.05)
    assert torch.equal(example(GaussianPrior(), operator, 3)[0].pixels, measured.pixels)
    assert not torch.equal(example(GaussianPrior(), operator, 4)[0].pixels, measured.pixels)


def test_a_prior_that_takes_no_colour_has_no_example():
    with pytest.raises(IptError, match="colour"):
        example(GaussianPrior(mean=torch.zeros(2, 32, 32)), Blur(), 0)
