"""Kernels through a lens: the widths that are added, and that nothing leaves the window."""

from __future__ import annotations

import pytest
import torch

from ipt.core.operator import Generator
from ipt.operators.blur.lens import ThroughLens
from ipt.operators.blur.tracks import LineKernels


class Points(Generator):
    """The same points for every seed."""

    def __init__(self, *places):
        self.places = places

    def sample(self, seeds, shape):
        kernels = torch.zeros(len(seeds), *shape)
        for row, column in self.places:
            kernels[:, 0, row, column] = 1 / len(self.places)
        return kernels


def variances(kernels):
    """(B, 2) in square pixels about the centre pixel."""
    kernels = kernels[:, 0].double()
    rows, columns = ((torch.arange(side) - side // 2).double() for side in kernels.shape[-2:])
    return torch.stack([(kernels.sum(2) * rows**2).sum(1), (kernels.sum(1) * columns**2).sum(1)], dim=1)


@pytest.mark.parametrize("std", [0.2, 0.5, 0.9, 2.0])
def test_the_gaussian_has_the_width_that_was_asked_for(std):
    found = variances(ThroughLens(Points((16, 20)), std, sharp=0).sample(range(3), (1, 33, 40)))
    torch.testing.assert_close(found, torch.full_like(found, std**2), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("radius", [2.0, 3.5])
def test_the_disc_has_the_radius_that_was_asked_for(radius):
    kernels = ThroughLens(Points((16, 20)), 0, defocused=1, radius=radius).sample(range(2), (1, 33, 40))
    assert float(kernels.amax()) == pytest.approx(1 / (torch.pi * radius**2), rel=0.05)
    torch.testing.assert_close(variances(kernels), torch.full((2, 2), radius**2 / 4).double(), atol=0.3, rtol=0)


def test_variances_add():
    alone, seen = LineKernels(10, bent=0), ThroughLens(LineKernels(10, bent=0), 0.8, sharp=0)
    before, after = (variances(one.sample(range(50), (1, 33, 33))) for one in (alone, seen))
    torch.testing.assert_close(after - before, torch.full_like(after, 0.64), atol=1e-3, rtol=0)


@pytest.mark.parametrize("side", [11, 12])
def test_at_the_edge_nothing_is_lost_and_nothing_moves(side):
    centre = side // 2
    reach = (side - 1) // 2
    points = Points((centre - reach, centre), (centre + reach, centre), (centre, centre + 3), (centre, centre - 3))
    kernels = ThroughLens(points, 1.5, sharp=0, defocused=0.5, radius=3).sample(range(40), (1, side, side))
    torch.testing.assert_close(kernels.sum((1, 2, 3)), torch.ones(40), atol=1e-6, rtol=0)
    # A point on the edge has nowhere to go but along it.
    assert float(kernels[:, 0, centre - reach].sum(1).min()) > 0.249
    assert kernels[0, 0, centre].sum() > kernels[0, 0, centre + 1].sum() > 0


def test_no_disc_where_light_is_in_the_row_without_a_partner():
    lit = ThroughLens(Points((0, 8), (15, 8)), 0, defocused=1).sample([1], (1, 16, 16))
    torch.testing.assert_close(lit, Points((0, 8), (15, 8)).sample([1], (1, 16, 16)))


def test_some_are_sharp_and_some_out_of_focus():
    kernels = ThroughLens(Points((16, 16)), 0.7, sharp=0.3, defocused=0.2, radius=3).sample(range(500), (1, 33, 33))
    width = variances(kernels)[:, 0]
    assert 0.2 < (width < 1e-6).double().mean() < 0.28  # .3 x .8
    assert 0.16 < (width > 1.5).double().mean() < 0.24


def test_the_lens_of_a_seed_has_numbers_of_its_own():
    """A kernel and its lens do not go together: short lines are blurred as often as long ones."""
    lines = LineKernels((2, 30), bent=0)
    seen = ThroughLens(lines, sharp=0.5).sample(range(400), (1, 48, 48))
    plain = lines.sample(range(400), (1, 48, 48))
    sharp = (seen - plain).abs().amax((1, 2, 3)) < 1e-6
    long = variances(plain).sum(1) > 10
    assert abs(sharp[long].float().mean() - sharp[~long].float().mean()) < 0.12
