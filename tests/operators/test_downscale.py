"""Downscaling: what it is, its adjoint, and the exact step against the equations it solves."""

from __future__ import annotations

import pytest
import torch

from ipt.core.abilities import Belief
from ipt.core.errors import IptError
from ipt.core.observation import Observation
from ipt.linalg.covariances import Isotropic
from ipt.operators.downscale import METHODS, Downscale
from ipt.testing import operator_checks

every = pytest.mark.parametrize("operator", [Downscale(factor, method) for factor in (1, 2, 4) for method in METHODS])


def picture(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("check", [check for method in METHODS for check in operator_checks(Downscale(2, method))])
def test_contract(check):
    check()


def test_what_it_is():
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert Downscale(2).forward(image).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert Downscale(2, "sample").forward(image).flatten().tolist() == [0, 2, 8, 10]


@every
def test_the_image_step_meets_its_normal_equations(operator):
    shape = operator.image_shape((2, 3, 5))
    mean, truth, variance = picture(0, 3, *shape), picture(1, 3, *shape), 0.1 + picture(2, 3, *shape)
    noise = torch.tensor([0.01, 0.1, 1.0], dtype=torch.float64).reshape(3, 1, 1, 1)
    measurement = operator.forward(truth)
    found = operator.image_step(Observation(measurement, noise.sqrt()), Belief(mean, Isotropic(variance)), {}, {})
    leaf = found.clone().requires_grad_()
    misfit = (measurement - operator.forward(leaf)).square() / noise
    objective = misfit.sum() + ((leaf - mean).square() / variance).sum()
    (slope,) = torch.autograd.grad(objective, leaf)
    assert slope.abs().max() < 1e-9
    assert not torch.allclose(found, mean)


def test_the_variance_may_be_one_number_an_image():
    operator, mean = Downscale(2), picture(0, 2, 3, 4, 4)
    one, noise = torch.full((2, 1, 1, 1), 0.3, dtype=torch.float64), torch.full((2, 1, 1, 1), 0.01, dtype=torch.float64)
    steps = [
        operator.image_step(
            Observation(picture(1, 2, 3, 2, 2), noise.sqrt()), Belief(mean, Isotropic(variance)), {}, {}
        )
        for variance in (one, one.expand_as(mean))
    ]
    assert torch.equal(*steps)


def test_what_it_does_not_take():
    with pytest.raises(IptError, match="a picture of 8 x 9 px cannot be downscaled 2 times"):
        Downscale(2).parameters((3, 9, 8))
    with pytest.raises(IptError, match="factor is a whole number from 1 up, not 0"):
        Downscale(0)
    with pytest.raises(IptError, match="method is one of mean, sample, not 'cubic'"):
        Downscale(2, "cubic")
