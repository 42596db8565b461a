"""Arrays of numpy as measurements: any numbers and channels, nothing clipped, complex ones as pairs of channels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ipt.core.errors import IptError
from ipt.images import measurements
from ipt.images.files import Picture
from ipt.images.formats import suffix_for

RANDOM = np.random.default_rng(0)


def saved(tmp_path, values, name="a.npy"):
    np.save(tmp_path / name, values)
    return tmp_path / name


@pytest.mark.parametrize(
    ("values", "shape"),
    [
        (RANDOM.normal(0, 300, (5, 6, 7)), (5, 6, 7)),
        (RANDOM.integers(-9, 9, (6, 7)), (1, 6, 7)),
        (RANDOM.normal(size=90), (1, 1, 90)),
    ],
)
def test_numbers_are_taken_as_they_are(tmp_path, values, shape):
    found = measurements.read(saved(tmp_path, values), units=True)
    assert found.shape == measurements.shape_of(tmp_path / "a.npy") == shape
    np.testing.assert_allclose(found.pixels.numpy().reshape(values.shape), values, rtol=1e-6)
    assert measurements.holds_array(found)


def test_complex_numbers_are_pairs_of_channels_there_and_back(tmp_path):
    values = (RANDOM.normal(size=(2, 4, 5)) + 1j * RANDOM.normal(size=(2, 4, 5))).astype(np.complex64)
    found = measurements.read(saved(tmp_path, values), units=True)
    assert found.shape == measurements.shape_of(tmp_path / "a.npy") == (4, 4, 5)
    np.testing.assert_array_equal(found.pixels[:2].numpy() + 1j * found.pixels[2:].numpy(), values)
    for name in ("b.npy", "b.npz"):
        measurements.write(tmp_path / name, found.pixels, "measurement", is_complex=True)
        assert torch.equal(measurements.read(tmp_path / name, units=True).pixels, found.pixels)
    with pytest.raises(IptError, match="3 channels are not real and imaginary"):
        measurements.write(tmp_path / "c.npy", found.pixels[:3], is_complex=True)


def test_without_units_whole_numbers_are_those_of_a_picture(tmp_path):
    path = saved(tmp_path, np.full((3, 8, 9), 51, np.uint8))
    assert measurements.read(path).pixels.max() == pytest.approx(0.2)
    assert measurements.read(path, units=True).pixels.max() == 51


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.full((4, 4), np.nan), "NaN or infinite"),
        (np.zeros((2, 3, 4, 5)), r"shape \(2, 3, 4, 5\)"),
        (np.zeros((0, 4)), r"shape \(0, 4\)"),
        (np.array(["a"]), "a measurement is of numbers"),
        (np.zeros((20, 30, 3)), r"save x.transpose\(2, 0, 1\)"),
    ],
)
def test_what_is_no_measurement_is_refused(tmp_path, values, words):
    with pytest.raises(IptError, match=words):
        measurements.read(saved(tmp_path, values))


def test_of_several_arrays_the_measurement_is_meant(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, measurement=np.ones((2, 3)), other=np.zeros(3))
    assert measurements.read(path).shape == (1, 2, 3)
    np.savez(path, one=np.ones((2, 3)), other=np.zeros(3))
    with pytest.raises(IptError, match="holds one, other"):
        measurements.read(path)
    path.write_bytes(b"PK nothing")
    with pytest.raises(IptError, match="damaged"):
        measurements.read(path)


def test_what_is_drawn_of_numbers_is_a_picture_or_a_curve():
    grey = measurements.drawn(torch.linspace(-50, 70, 60).reshape(1, 6, 10))
    assert grey.shape == (6, 10) and grey.min() == 0 and grey.max() == 255
    curve = measurements.drawn(torch.linspace(-50, 70, 60).reshape(1, 1, 60))
    rows = (curve < 128).argmax(0)[8:-8]
    # It rises: further up, further right.
    assert min(curve.shape) > 100 and rows[-1] < rows[len(rows) // 2] < rows[0]


def test_the_result_of_an_array_is_an_array():
    image = torch.zeros(3, 8, 8)
    assert suffix_for("png", Picture(image, source="NPY float32")) == ".npy"
    assert suffix_for("same", Picture(image, source="NPZ float32")) == ".npz"
    assert suffix_for("npy", Picture(image, source="PNG RGB")) == ".npy"
    assert suffix_for("png", Picture(image, source="PNG L"), channels=5) == ".npy"
    with pytest.raises(IptError, match=r"5 channels.*format=npy"):
        suffix_for("tiff", Picture(image, source="PNG L"), channels=5)
