"""Charts: the round trip, and where the physical window lies on a larger padded."""

from __future__ import annotations

import pytest
import torch

from ipt.linalg.normalization import Normalization

SIZES = [
    ((1, 8, 8), (1, 8, 8)),
    ((1, 8, 8), (1, 5, 3)),
    ((2, 7, 9), (2, 4, 6)),
    ((1, 8, 7), (1, 7, 7)),
    ((3, 9, 8), (3, 1, 2)),
]


@pytest.mark.parametrize(("shape", "inner"), SIZES)
def test_physical_undoes_normalised(shape, inner):
    made = Normalization(shape, inner, 0.5, 0.25)
    value = torch.randn(2, *inner, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    padded = made.normalized(value)
    assert padded.shape == (2, *shape)
    torch.testing.assert_close(made.physical(padded), value, rtol=0, atol=1e-15)


@pytest.mark.parametrize(("shape", "inner"), SIZES)
def test_the_centre_pixel_stays_the_centre_pixel(shape, inner):
    made = Normalization(shape, inner, 2.0, 0.0)
    value = torch.zeros(1, *inner)
    value[..., inner[1] // 2, inner[2] // 2] = 1
    padded = made.normalized(value)
    assert (padded[..., shape[1] // 2, shape[2] // 2] == 0.5).all()
    assert padded.sum() == 0.5 * shape[0]


def test_outside_the_window_the_quantity_is_zero():
    padded = Normalization((1, 6, 6), (1, 2, 2), 0.5, 0.5).normalized(torch.ones(1, 1, 2, 2))
    inside = torch.zeros(6, 6, dtype=torch.bool)
    inside[2:4, 2:4] = True
    assert (padded[0, 0][inside] == 1).all() and (padded[0, 0][~inside] == -1).all()


def test_an_image_in_0_to_1_has_half_and_half():
    made = Normalization((3, 2, 2), (3, 2, 2), 0.5, 0.5)
    assert made.physical(torch.full((1, 3, 2, 2), -1.0)).eq(0).all()
    assert made.normalized(torch.ones(1, 3, 2, 2)).eq(1).all()


def test_a_window_larger_than_its_padded_is_refused():
    with pytest.raises(ValueError, match="larger"):
        Normalization((1, 8, 8), (1, 9, 8))


def test_what_is_unknown_around_the_window_stays_what_it_was():
    made, zero = (Normalization((1, 6, 6), (1, 2, 4), 0.5, 0.5, zero_outside=zero) for zero in (False, True))
    around = torch.randn(1, 1, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    value = torch.full((1, 1, 2, 4), 0.75, dtype=torch.float64)
    found = made.normalized(value, around)
    assert (made.physical(found) == 0.75).all()
    outside = torch.ones(6, 6, dtype=torch.bool)
    outside[2:4, 1:5] = False
    assert torch.equal(found[0, 0][outside], around[0, 0][outside])
    # Around a kernel there is nothing, whatever a network made of it.
    assert torch.equal(zero.normalized(value, around), zero.normalized(value))
