"""What the checks measure with."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from ipt.testing import measures
from ipt.testing.promises import Shortfall


def test_numbers_are_the_same_for_a_name_and_differ_between_names():
    assert torch.equal(measures.normal((2, 3), "a"), measures.normal((2, 3), "a"))
    assert not torch.equal(measures.uniform((2, 3), "a"), measures.uniform((2, 3), "b"))
    shown = measures.picture((3, 9, 10))
    assert shown.shape == (measures.BATCH, 3, 9, 10) and shown.min() >= 0.05 and shown.max() <= 0.95
    assert shown[1].max() < 0.5 * shown[0].max()


def test_differences_are_shares_of_the_largest_value():
    values = torch.tensor([4.0, -2.0])
    assert measures.difference(values + 1, values) == pytest.approx(0.25) and measures.difference(values, values) == 0
    assert measures.difference(torch.zeros(0), torch.zeros(0)) == 0
    with pytest.raises(Shortfall, match="Shapes"):
        measures.difference(values, values[:1])
    with pytest.raises(Shortfall, match="b: difference between calls"):
        measures.same({"a": values, "b": values + 1}, {"a": values, "b": values}, 0.1, "between calls")
    with pytest.raises(Shortfall, match="1 of 2 entries that are NaN or infinite"):
        measures.finite({"a": torch.tensor([1.0, torch.inf])})


def test_arguments_that_are_changed_or_replaced_show():
    arguments = {"images": {"image": torch.ones(2)}}
    with measures.untouched(arguments):
        pass
    with pytest.raises(Shortfall, match="image of images is not what it was"), measures.untouched(arguments):
        arguments["images"]["image"] += 1
    with pytest.raises(Shortfall, match="The mapping of images"), measures.untouched(arguments):
        arguments["images"]["more"] = torch.ones(1)


def test_a_tensor_that_is_overwritten_with_its_own_values_shows():
    arguments = {"images": {"image": torch.ones(2)}}
    with pytest.raises(Shortfall, match="image of images was written to in place"), measures.untouched(arguments):
        arguments["images"]["image"].clamp_(0, 1)
    with torch.inference_mode():
        uncounted = {"images": {"image": torch.ones(2)}}
    with measures.untouched(uncounted):
        pass


def test_the_same_nan_twice_is_no_difference():
    values = torch.tensor([1.0, torch.nan, torch.inf])
    assert measures.difference(values, values) == 0
    assert not measures.difference(values, torch.ones(3)) <= 1e9


@pytest.mark.parametrize(
    ("act", "name"),
    [
        (lambda: torch.rand(1), "torch"),
        (lambda: np.random.rand(1), "numpy"),
        (random.random, "random"),
        (lambda: torch.manual_seed(0), "torch"),
    ],
)
def test_global_generators_that_move_show_and_are_put_back(act, name):
    before = torch.get_rng_state(), random.getstate()
    said = pytest.raises(Shortfall, match=f"The global generator of {name} was used")
    with said, measures.global_generators_untouched():
        act()
    assert torch.equal(torch.get_rng_state(), before[0]) and random.getstate() == before[1]


def test_derivatives_are_compared_with_differences():
    point = measures.uniform((3, 1, 4, 4), "point")

    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, value):
            return value.square()

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    assert measures.derivative_error(lambda value: value.sin() * value, point) < 1e-6
    assert measures.derivative_error(Wrong.apply, point) > 0.05
    assert measures.derivative_error(lambda value: value.detach() ** 2, point) == pytest.approx(1, abs=0.01)
    assert measures.derivative_error(lambda value: torch.ones_like(value), point) == 0
    with pytest.raises(Shortfall, match="It is constant about a point"):
        measures.derivative_error(torch.round, torch.tensor([0.2, 0.8, 0.3]).double()[:, None])
