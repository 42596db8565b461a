"""Pictures of fields: what one sees is what there is."""

import numpy as np
import pytest
import torch

from ipt.images.fields import FIELD_SIDE, field_picture, parameter_picture
from ipt.images.grids import kernel_grid_picture
from ipt.images.pictures import coloured, kernel_picture


def drawn(picture, height):
    """The part above the scale."""
    return picture[:height]


def test_the_picture_is_enlarged_by_whole_pixels_with_a_scale_below():
    picture = field_picture(torch.randn(2, 20, 30, generator=torch.Generator().manual_seed(0)))
    times = -(-FIELD_SIDE // 30)
    assert picture.dtype == np.uint8 and picture.shape[1:] == (30 * times, 3)
    assert picture.shape[0] > 20 * times and (picture[-1] == 255).all()
    assert (picture[20 * times :] < 100).any()


def test_colour_is_the_length_whatever_the_direction():
    field = torch.zeros(2, 16, 16)
    field[0, :, :8], field[1, :, 8:] = 2.0, -2.0
    picture = field_picture(field)
    # Far from the arrows, which are drawn at whole pixels' centres.
    times = FIELD_SIDE // 16
    corners = picture[: 16 * times : times, : 16 * times : times].reshape(-1, 3)
    assert (np.abs(corners.astype(int) - coloured(np.array(1.0))).sum(1) == 0).mean() > 0.5
    field /= 4
    field[0, 0, 0] = 2.0
    assert (field_picture(field)[5 * times, 5 * times] == coloured(np.array(0.25))).all()


@pytest.mark.parametrize(("down", "right"), [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1)])
def test_arrows_point_the_way_of_the_displacement(down, right):
    """The head, which is wider than the shaft, is at that end."""
    field = torch.zeros(2, 5, 5)
    field[:, 2, 2] = torch.tensor([down, right])
    times = -(-FIELD_SIDE // 5)
    white = (drawn(field_picture(field), 5 * times) == 255).all(-1)

    rows, columns = (index - 2.5 * times for index in np.nonzero(white))
    ahead = (rows * down + columns * right) / np.hypot(down, right)
    beside = np.abs(rows * right - columns * down) / np.hypot(down, right)
    near = (beside < 15) & (np.abs(ahead) < times)
    assert beside[near & (ahead > 0)].max() > 1.6 * beside[near & (ahead < 0)].max()


def test_no_displacement_is_dark_with_dots():
    picture = field_picture(torch.zeros(2, 8, 8))
    assert (picture[0, 0] == coloured(np.array(0.0))).all()
    assert (drawn(picture, FIELD_SIDE) == 255).all(-1).mean() < 0.001


def test_a_larger_displacement_has_a_larger_scale():
    field = torch.zeros(2, 8, 8)
    field[0, 4, 4] = 1.4
    small = field_picture(field)
    assert np.array_equal(drawn(small, FIELD_SIDE), drawn(field_picture(10 * field), FIELD_SIDE))
    assert not np.array_equal(small, field_picture(10 * field))


def test_parameters_by_their_channels():
    kernel, field = torch.rand(1, 5, 5), torch.randn(2, 5, 5)
    assert np.array_equal(parameter_picture(kernel), kernel_picture(kernel))
    assert np.array_equal(parameter_picture(field), field_picture(field))
    assert parameter_picture(torch.rand(3, 5, 5)) is None
    kernels, picture = torch.rand(4, 5, 5), torch.rand(3, 20, 30)
    assert np.array_equal(parameter_picture(kernels), kernel_grid_picture(kernels))
    assert np.array_equal(parameter_picture(kernels, picture), kernel_grid_picture(kernels, picture))
    for numbers in ((1, 1, 1), (2, 1, 1), (1, 64, 1), (2, 1, 64)):
        assert parameter_picture(torch.rand(numbers)) is None


@pytest.mark.parametrize("shape", [(1, 4, 4), (2, 4), (3, 4, 4)])
def test_what_is_no_field_is_refused(shape):
    with pytest.raises(ValueError, match="a field is"):
        field_picture(torch.zeros(shape))
