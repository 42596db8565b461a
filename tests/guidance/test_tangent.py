"""The derivative of a prediction as two maps: J v, and its adjoint, however the prediction is made."""

from __future__ import annotations

import pytest
import torch
from torch.autograd.function import once_differentiable

from ipt.core.errors import IptError
from ipt.guidance.tangent import Tangent
from ipt.operators.blur import Blur

MIXING = torch.randn(12, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


class Sine(torch.autograd.Function):
    """One that cannot be differentiated twice."""

    @staticmethod
    def forward(ctx, value):
        ctx.save_for_backward(value)
        return value.sin()

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        return ctx.saved_tensors[0].cos() * gradient


def predict(sine):
    return lambda point: sine(point @ MIXING.T).reshape(-1, 1, 3, 4)


def vectors(*shape, seed):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("sine", [torch.sin, Sine.apply], ids=["twice", "once"])
def test_it_is_the_derivative_and_its_adjoint(sine):
    point, along, residual = vectors(3, 5, seed=1), vectors(3, 5, seed=2), vectors(3, 1, 3, 4, seed=3)
    found = Tangent.at(point, predict(sine), Blur(3), "image")
    jacobian = (point @ MIXING.T).cos()[..., None] * MIXING
    torch.testing.assert_close(found.value, predict(torch.sin)(point))
    expected = torch.einsum("bij,bj->bi", jacobian, along).reshape(3, 1, 3, 4)
    torch.testing.assert_close(found.forward(along), expected, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(found.transposed(residual), torch.einsum("bij,bi->bj", jacobian, residual.flatten(1)))
    assert not found.value.requires_grad


def test_a_path_that_is_missing_from_the_second_derivative_is_found():
    """Half of the prediction can be differentiated once only: torch leaves it out of J without a word."""
    point, along = vectors(2, 5, seed=1), vectors(2, 5, seed=2)
    mixed = Tangent.at(point, lambda z: predict(torch.sin)(z) + predict(Sine.apply)(z), Blur(3), "image")
    whole = Tangent.at(point, lambda z: 2 * predict(torch.sin)(z), Blur(3), "image")
    torch.testing.assert_close(mixed.forward(along), whole.forward(along), rtol=1e-6, atol=1e-7)


def test_a_prediction_without_derivatives_names_the_operator():
    with pytest.raises(IptError, match="operator Blur cannot be differentiated in image"):
        Tangent.at(vectors(1, 5, seed=1), lambda z: predict(torch.sin)(z).detach(), Blur(3), "image")
