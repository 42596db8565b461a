"""Independent numbers: they have the distribution that is asked for, and none lies outside its interval."""

from __future__ import annotations

import math

import pytest
import torch

from ipt.core.errors import IptError
from ipt.operators.numbers import NormalNumbers, UniformNumbers
from ipt.testing import generator_checks


@pytest.mark.parametrize("generator", [UniformNumbers(-2, 3), NormalNumbers(5, 2, low=4)], ids=["uniform", "normal"])
def test_the_generators_keep_their_promises(generator):
    for check in generator_checks(generator, shape=(2, 3, 1)):
        check()


def test_uniform_numbers_fill_their_interval():
    drawn = UniformNumbers(0.5, 4.5).sample(range(20), (1, 40, 40))
    assert drawn.min() >= 0.5 and drawn.max() <= 4.5
    assert float(drawn.mean()) == pytest.approx(2.5, abs=0.03)
    assert float(drawn.std()) == pytest.approx(4 / math.sqrt(12), rel=0.02)


def test_normal_numbers_have_their_mean_and_deviation():
    drawn = NormalNumbers(-3, 0.5).sample(range(20), (1, 40, 40))
    assert float(drawn.mean()) == pytest.approx(-3, abs=0.02) and float(drawn.std()) == pytest.approx(0.5, rel=0.02)


@pytest.mark.parametrize(("low", "high"), [(1.0, math.inf), (-math.inf, 0.5), (3.0, 4.0), (-4.0, -3.0), (9.0, 12.0)])
def test_cut_normal_numbers_lie_within_the_cut(low, high):
    drawn = NormalNumbers(0, 1, low, high).sample(range(20), (1, 40, 40)).double()
    assert drawn.min() >= low and drawn.max() <= high
    near, far = (torch.distributions.Normal(0.0, 1.0).log_prob(torch.tensor(end).double()).exp() for end in (low, high))
    # By symmetry, where the distribution function would round to 1.
    first, second = (-high, -low) if low > 0 else (low, high)
    mass = (math.erfc(-second / math.sqrt(2)) - math.erfc(-first / math.sqrt(2))) / 2
    assert float(drawn.mean()) == pytest.approx(float((near - far) / mass), abs=0.03)


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda: UniformNumbers(2, 2), "low < high"),
        (lambda: UniformNumbers(0, math.inf), "finite"),
        (lambda: NormalNumbers(0, 0), "std above 0"),
        (lambda: NormalNumbers(0, 1, 3, 2), "low < high"),
    ],
)
def test_what_cannot_be_drawn_is_refused(made, says):
    with pytest.raises(IptError, match=says):
        made()
