"""HEIC files, as phones write them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from skimage import data

from ipt.core.errors import IptError
from ipt.images.files import decode, read, shape_of

heif = pytest.importorskip("pillow_heif", reason="the optional package pillow-heif is not installed")
FACE = np.asarray(Image.fromarray(data.astronaut()[:200, 110:330]).resize((64, 48)))


def written(*pictures: Image.Image, **options) -> bytes:
    file, kept = io.BytesIO(), heif.HeifFile()
    for picture in pictures:
        kept.add_from_pillow(picture)
    kept.save(file, quality=-1, **options)
    return file.getvalue()


def test_a_picture_is_upright_and_keeps_its_exif(tmp_path):
    exif = Image.Exif()
    exif[274], exif[271] = 6, "a camera"
    (tmp_path / "a.heic").write_bytes(written(Image.fromarray(FACE), exif=exif.tobytes()))
    found = read(tmp_path / "a.heic")
    upright = np.rot90(FACE, -1).transpose(2, 0, 1) / 255
    # Lossless in its own colours (YCbCr at half resolution), not in these.
    assert found.shape == shape_of(tmp_path / "a.heic") == (3, 64, 48)
    assert np.abs(found.pixels.numpy() - upright).mean() < 0.012
    assert b"a camera" in found.metadata["exif"] and (found.depth, found.source) == (8, "HEIC 8-bit")


def test_ten_bits_fill_the_range():
    values, file = np.full((16, 16, 3), 65535, np.uint16), io.BytesIO()
    heif.from_bytes("RGB;16", (16, 16), values.tobytes()).save(file, quality=-1)
    found = decode(file.getvalue(), "a.heic")
    assert found.depth == 16 and float(found.pixels.min()) == 1


def test_alpha_comes_along():
    picture = Image.fromarray(FACE)
    picture.putalpha(Image.new("L", picture.size, 128))
    found = decode(written(picture), "a.heic")
    assert found.alpha is not None and found.alpha.mean() == pytest.approx(128 / 255, abs=0.01)


def test_several_pictures_and_damage_are_refused():
    picture = Image.fromarray(FACE)
    with pytest.raises(IptError, match="2 pages or frames"):
        decode(written(picture, picture.rotate(90)), "a.heic")
    with pytest.raises(IptError, match=r"a.heic is damaged or cut short"):
        decode(written(picture)[:-300], "a.heic")
