"""The blur by kernels that differ from place to place, from and to spectra of the grid."""

from __future__ import annotations

import pytest
import torch

from ipt.operators.blur import BORDERS
from ipt.operators.shake.filter_flow import InTiles, OnGrid, filter_flow
from tests.operators.shake.test_tiles import random, tiles


@pytest.mark.parametrize("way", [InTiles, OnGrid])
@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_it_is_the_blur_of_the_tiles(way, border, count):
    made, shape = tiles(border, (4, 5), count)
    grid, kernels = made.padded.extend(random(2, 3, *shape, seed=1)), random(2, count**2, 4, 5, seed=2)
    found = way(made, kernels).forward(torch.fft.rfft2(grid))
    assert torch.allclose(found, made.padded.embed(made.forward(grid, kernels)), atol=1e-12)


@pytest.mark.parametrize("way", [InTiles, OnGrid])
@pytest.mark.parametrize("border", BORDERS)
def test_its_adjoint(way, border):
    made, _ = tiles(border, (5, 4), 3)
    grid, seen = (random(2, 3, *made.padded.size, seed=seed) for seed in (1, 2))
    flow = way(made, random(2, 9, 5, 4, seed=3))
    back = made.padded.inverse(flow.adjoint(seen))
    assert torch.allclose((flow.forward(torch.fft.rfft2(grid)) * seen).sum(), (grid * back).sum())


def test_few_tiles_are_blurred_on_the_whole_grid():
    few, many = (tiles("unknown", (5, 5), count)[0] for count in (2, 5))
    assert isinstance(filter_flow(few, random(1, 4, 5, 5, seed=1)), OnGrid) == few.few
    assert few.few and not many.few
    assert isinstance(filter_flow(many, random(1, 25, 5, 5, seed=1)), InTiles)
