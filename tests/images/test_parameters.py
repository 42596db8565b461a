"""Parameters in .npy files: their shapes, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from ipt.core.errors import IptError
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
