"""Covariances that are never written down: each is C = L L', whatever it is made of."""

from __future__ import annotations

import math

import pytest
import torch

from ipt.linalg.covariances import Diagonalized, Isotropic, Rearranged, rearranged
from ipt.linalg.norms import norm, rms

SHAPE = (2, 3, 4, 5)


def numbers(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.1


def rotated():
    """Diagonal in a random orthonormal basis of the columns."""
    basis = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)).Q
    return Diagonalized(numbers(*SHAPE), lambda tensor: tensor @ basis, lambda tensor: tensor @ basis.T)


def turned():
    """The same, rows and columns exchanged."""
    inner = rotated()
    return rearranged(inner, lambda tensor: tensor.mT, lambda tensor: tensor.mT, inner.variance)


CASES = {
    "isotropic": (Isotropic(numbers(2, 1, 1, 1)), SHAPE),
    "diagonalized": (rotated(), SHAPE),
    "rearranged": (turned(), (2, 3, 5, 4)),
}
each_covariance = pytest.mark.parametrize(("covariance", "shape"), CASES.values(), ids=CASES)


def dense(covariance, shape):
    """The matrix of each image, (B, n, n)."""
    size = math.prod(shape[1:])
    columns = [covariance.apply(one.reshape(1, *shape[1:]).expand(shape)) for one in torch.eye(size).double()]
    return torch.stack([column.flatten(1) for column in columns], -1)


@each_covariance
def test_it_is_symmetric_and_positive_with_the_variance_it_says(covariance, shape):
    matrices = dense(covariance, shape)
    torch.testing.assert_close(matrices, matrices.mT)
    assert (torch.linalg.eigvalsh(matrices) > 0).all()
    variance = matrices.diagonal(dim1=1, dim2=2).mean(1)
    torch.testing.assert_close(covariance.variance.reshape(2), variance)


@each_covariance
def test_roots_and_solutions_belong_to_it(covariance, shape):
    matrices, vector = dense(covariance, shape), numbers(*shape, seed=1)
    other = numbers(*shape, seed=2)
    torch.testing.assert_close(covariance.solve(covariance.apply(vector)), vector)
    inner = (covariance.root(vector) * other).sum(), (vector * covariance.root_transposed(other)).sum()
    torch.testing.assert_close(*inner)
    applied = (matrices @ vector.flatten(1)[:, :, None]).reshape(shape)
    torch.testing.assert_close(covariance.root(covariance.root_transposed(vector)), applied)


@each_covariance
def test_scaled_it_is_that_of_the_scaled_variable(covariance, shape):
    vector, three = numbers(*shape, seed=1), covariance.scaled(-3.0)
    torch.testing.assert_close(three.apply(vector), 9 * covariance.apply(vector))
    torch.testing.assert_close(three.solve(vector), covariance.solve(vector) / 9)
    torch.testing.assert_close(three.variance, 9 * covariance.variance)


def test_independent_entries_stay_so_in_any_arrangement():
    variance = numbers(2, 1, 1, 1)
    assert isinstance(rearranged(Isotropic(variance), torch.flatten, torch.flatten, variance), Isotropic)
    assert isinstance(turned(), Rearranged)
    like = Isotropic.like(torch.zeros(3, 2, 4, 4), 0.5)
    assert torch.equal(like.variance, torch.full((3, 1, 1, 1), 0.25))


def test_norms_are_an_image_s_own():
    images = torch.tensor([[[[3.0, 4.0]]], [[[0.0, 2.0]]]])
    assert torch.equal(norm(images), torch.tensor([5.0, 2.0]))
    torch.testing.assert_close(rms(images), torch.tensor([12.5, 2.0]).sqrt())
