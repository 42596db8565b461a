"""The tiles of `shake`: against explicit sums, and each map against its adjoint."""

from __future__ import annotations

import pytest
import torch

from ipt.operators.blur import BORDERS, Blur
from ipt.operators.shake.tiles import Tiles, nodes

FRAME = (22, 31)


def random(*shape, seed=0):
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def tiles(border, sides, count):
    blur = Blur(sides, border)
    shape = blur.image_shape((1, *FRAME))[1:]
    return Tiles(blur.padded(torch.zeros(1, 1, *shape), torch.zeros(1, 1, *sides)), sides, count), shape


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_windows_add_up_to_one(count):
    made, _ = tiles("circular", (3, 3), count)
    assert torch.allclose(made.join(made.window(torch.zeros(1).double())), torch.ones(FRAME).double())


def test_nodes_are_the_middles_of_equal_cells():
    assert nodes(2, 8).tolist() == [1.5, 5.5]
    assert nodes(1, 5).tolist() == [2.0]


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("sides", [(3, 5), (4, 6)])
@pytest.mark.parametrize("together", [0, 2**22], ids=["one by one", "together"])
def test_the_frame_is_the_sum_of_windowed_blurs(border, sides, together, monkeypatch):
    monkeypatch.setattr("ipt.operators.shake.tiles._TOGETHER", together)
    made, shape = tiles(border, sides, 3)
    image, kernels = random(2, 3, *shape, seed=1), random(2, 9, *sides, seed=2)
    blur = Blur(sides, border)
    windows = torch.eye(9).double()[:, :, None, None, None] * made.window(image)
    wanted = 0
    for number in range(9):
        window = made.join(windows[number])
        wanted = wanted + window * blur.forward(image, kernels[:, number : number + 1])
    found = made.forward(made.padded.extend(image), kernels)
    assert torch.allclose(found, wanted, atol=1e-12)


@pytest.mark.parametrize("border", BORDERS)
def test_every_map_has_its_adjoint(border):
    made, _ = tiles(border, (4, 5), 3)
    grid, frame = random(1, 2, *made.padded.size, seed=3), random(1, 2, *FRAME, seed=4)
    transfer = made.transfer(random(1, 9, 4, 5, seed=5))
    forward = made.blend(made.spectrum(grid) * transfer)
    back = made.spectrum_adjoint(made.blend_adjoint(frame) * transfer.conj())
    assert torch.allclose((forward * frame).sum(), (grid * back).sum())
    parts = random(9, 2, *made.size, seed=6)
    assert torch.allclose((made.extract(grid) * parts).sum(), (grid * made.extract_adjoint(parts)).sum())
