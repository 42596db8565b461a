"""Parameters in .npy files: their shapes, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import torch

from ipt.core.errors import IptError
from ipt.images.files import Picture, write
from ipt.images.parameters import read_parameter


@pytest.mark.parametrize(
    ("array", "shape"),
    [
        (np.array(2.5), (1, 1, 1)),
        (np.array([1.0, 2.0]), (2, 1, 1)),
        (np.ones((5, 7)), (1, 5, 7)),
        (np.ones((2, 5, 7)), (2, 5, 7)),
        (np.zeros((1, 64, 1)), (1, 64, 1)),
        (np.array(0), (1, 1, 1)),
    ],
)
def test_numbers_lines_kernels_and_fields(tmp_path, array, shape):
    np.save(tmp_path / "p.npy", array)
    found = read_parameter(tmp_path / "p.npy")
    assert found.shape == shape and np.array_equal(found.numpy().ravel(), array.ravel().astype(np.float32))


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((5, 5)), "nothing but zeros"),
        (np.ones((2, 2, 2, 2, 2)), "of shape"),
        (np.ones((0,)), "of shape"),
        (np.array(np.nan), "NaN"),
    ],
)
def test_what_is_refused(tmp_path, array, said):
    np.save(tmp_path / "p.npy", array)
    with pytest.raises(IptError, match=said):
        read_parameter(tmp_path / "p.npy")


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_of_a_kernel_is_one(tmp_path, channels):
    kernel = torch.zeros(5, 7)
    kernel[2, 1:6] = torch.tensor([0.2, 0.4, 1.0, 0.6, 0.2])
    write(tmp_path / "k.png", Picture(kernel.expand(channels, 5, 7)))
    found = read_parameter(tmp_path / "k.png")
    assert found.shape == (1, 5, 7) and (found[0] - kernel).abs().max() < 0.51 / 255


def test_a_black_picture_is_no_kernel(tmp_path):
    write(tmp_path / "k.png", Picture(torch.zeros(1, 5, 5)))
    with pytest.raises(IptError, match="holds nothing but zeros"):
        read_parameter(tmp_path / "k.png")


def test_complex_numbers_are_refused_and_not_cut(tmp_path):
    np.save(tmp_path / "k.npy", np.ones((3, 3)) * 1j)
    with pytest.raises(IptError, match="complex"):
        read_parameter(tmp_path / "k.npy")


def test_a_kernel_in_a_picture_of_floats_has_any_range(tmp_path):
    values = np.arange(12, dtype=np.float32).reshape(3, 4) * 100 - 50
    tifffile.imwrite(tmp_path / "k.tif", values, photometric="minisblack")
    assert np.array_equal(read_parameter(tmp_path / "k.tif")[0].numpy(), values)


def test_a_kernel_with_transparent_parts_is_refused(tmp_path):
    write(tmp_path / "k.png", Picture(torch.rand(1, 5, 5), torch.full((1, 5, 5), 0.5)))
    with pytest.raises(IptError, match=r"k.png has transparent parts"):
        read_parameter(tmp_path / "k.png")
