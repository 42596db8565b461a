"""Kernels in their places over a picture."""

import numpy as np
import pytest
import torch

from ipt.images.grids import GRID_SIDE, kernel_grid_picture


def dots():
    """Four kernels of one entry, each in another corner of its window."""
    kernels = torch.zeros(4, 5, 5)
    for kernel, (row, column) in zip(kernels, [(0, 0), (0, 4), (4, 0), (4, 4)], strict=True):
        kernel[row, column] = 0.5
    return kernels


def test_each_kernel_is_in_its_cell_and_white_where_it_is_largest():
    picture = kernel_grid_picture(dots())
    half, cell = GRID_SIDE // 2, GRID_SIDE // 10
    assert picture.shape == (GRID_SIDE, GRID_SIDE, 3)
    for rows, columns in ((slice(0, cell), slice(0, cell)), (slice(-cell, None), slice(-cell, None))):
        assert picture[rows, columns].max() == 255
    assert picture[half - cell : half + cell, half - cell : half + cell].max() == 0


def test_behind_is_the_picture_but_darker():
    behind = torch.ones(3, 30, 60)
    behind[:, :, 30:] = 0
    picture = kernel_grid_picture(dots(), behind)
    assert picture.shape[1] == 2 * picture.shape[0] >= GRID_SIDE
    middle = picture[picture.shape[0] // 2].astype(int)
    assert 50 < middle[10].max() < 130 and middle[-10].max() == 0
    assert picture.max() == 255


@pytest.mark.parametrize("shape", [(3, 5, 5), (4, 5), (1, 4, 5, 5)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="of a grid are"):
        kernel_grid_picture(torch.zeros(shape))


def test_nothing_is_drawn_of_a_kernel_of_nothing():
    assert kernel_grid_picture(torch.zeros(1, 4, 4)).max() == 0
    assert kernel_grid_picture(torch.rand(9, 4, 6)).dtype == np.uint8
