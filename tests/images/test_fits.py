"""FITS files: numbers of any range, scaled and scaled back."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch

from ipt.core.errors import IptError
from ipt.images.exposures import read_exposures
from ipt.images.files import decode, read
from ipt.images.formats import suffix_for, write_as
from ipt.images.parameters import read_parameter
from ipt.solve.masks import read_mask

fits = pytest.importorskip("astropy.io.fits", reason="the optional package astropy is not installed")
SKY = np.random.default_rng(0).gamma(2, 700, (12, 17)).astype(np.float32) - 90


def written(*units) -> bytes:
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), *units] if len(units) > 1 else list(units)).writeto(file)
    return file.getvalue()


def primary(values: np.ndarray, **cards) -> bytes:
    header = fits.Header()
    header.update(cards)
    return written(fits.PrimaryHDU(values, header))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.uint16, np.uint8])
def test_numbers_of_any_range_are_scaled_and_scaled_back(tmp_path, dtype):
    values = np.abs(SKY).astype(dtype) if np.dtype(dtype).kind == "u" else SKY.astype(dtype)
    (tmp_path / "a.fits").write_bytes(primary(values, TELESCOP="an eye", CRVAL1=12.5))
    found = read(tmp_path / "a.fits")
    assert abs(found.pixels.min() - 0.1 / 3.1) < 1e-4 and abs(found.pixels.max() - 1.1 / 3.1) < 1e-4
    assert np.allclose(found.numbers[0].numpy(), values.astype(float), rtol=1e-6, atol=1e-3)
    brighter = found.with_pixels(1.1 * found.pixels)
    assert suffix_for("same", found) == ".fits" and suffix_for("png", found) == ".png"
    write_as(tmp_path / "b.fits", brighter)
    with fits.open(tmp_path / "b.fits") as units:
        assert units[0].data.dtype == np.dtype(">f4") and np.allclose(units[0].data, brighter.numbers[0], rtol=1e-6)
        assert (units[0].header["TELESCOP"], units[0].header["CRVAL1"]) == ("an eye", 12.5)


def test_a_reference_and_frames_come_into_one_range(tmp_path):
    for name, values in (("a", SKY), ("b", 2 * SKY)):
        (tmp_path / f"{name}.fits").write_bytes(primary(values))
    one, other = (read(tmp_path / f"{name}.fits") for name in "ab")
    assert torch.allclose(other.in_range_of(one).numbers, other.numbers)
    frames = read_exposures(tmp_path)
    assert frames[0].span == frames[1].span
    assert np.allclose(frames[1].numbers, 2 * frames[0].numbers, rtol=1e-4, atol=1e-2)


def test_a_kernel_keeps_its_numbers(tmp_path):
    (tmp_path / "k.fits").write_bytes(primary(SKY))
    assert np.allclose(read_parameter(tmp_path / "k.fits")[0], SKY, rtol=1e-5, atol=1e-3)


def test_a_mask_keeps_its_numbers(tmp_path):
    light = (SKY > 700).astype(np.uint8)
    (tmp_path / "m.fits").write_bytes(primary(light))
    assert np.array_equal(read_mask(tmp_path / "m.fits", SKY.shape)[0], light)


def test_colours_are_planes_and_science_goes_before_its_errors():
    assert decode(primary(np.stack([SKY] * 3)), "a.fits").shape == (3, 12, 17)
    units = [fits.ImageHDU(values, name=name) for values, name in ((SKY, "SCI"), (-SKY, "ERR"))]
    assert np.allclose(decode(written(*units), "a.fits").numbers[0], SKY, rtol=1e-6, atol=1e-3)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (primary(np.stack([SKY] * 5)), r"a cube of shape \(5, 12, 17\)"),
        (written(fits.PrimaryHDU()), "no images"),
        (written(fits.ImageHDU(SKY, name="A"), fits.ImageHDU(SKY, name="B")), r"2 images \(A, B\)"),
        (primary(np.where(SKY > 0, SKY, np.nan)), "NaN"),
        (primary(SKY)[:-2900], "damaged or cut short"),
    ],
    ids=["cube", "none", "two", "nan", "cut"],
)
def test_what_is_no_one_picture_is_refused(data, said):
    with pytest.raises(IptError, match=said):
        decode(data, "a.fits")
