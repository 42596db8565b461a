"""Raw files of cameras: a mosaic in a DNG whose colours are those of sRGB."""

from __future__ import annotations

import io
import struct
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import torch
from PIL import ExifTags, Image, TiffImagePlugin
from skimage import data
from skimage.transform import resize

from ipt.core.errors import IptError
from ipt.images import raw
from ipt.images.files import decode, read, shape_of, write
from ipt.images.light import decoded

pytest.importorskip("rawpy", reason="the optional package rawpy is not installed")
FACE = resize(data.astronaut()[:200, 110:330] / 255, (96, 128), anti_aliasing=True)
LIGHT = decoded(torch.from_numpy(FACE)).numpy()
# XYZ of the light D65 to linear sRGB (IEC 61966-2-1).
TO_SRGB = (3.2404542, -1.5371385, -0.4985314, -0.969266, 1.8760108, 0.041556, 0.0556434, -0.2040259, 1.0572252)


def dng(orientation: int = 1, *more: tuple) -> bytes:
    def rational(values):
        return [part for value in values for part in (round(value * 10_000), 10_000)]

    mosaic = np.zeros(LIGHT.shape[:2])
    for row, column, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        mosaic[row::2, column::2] = LIGHT[row::2, column::2, channel]
    tags = [
        (271, "s", 0, "maker", True),
        (272, "s", 0, "camera", True),
        (274, "H", 1, orientation, True),
        (33421, "H", 2, (2, 2), True),
        (33422, "B", 4, bytes([0, 1, 1, 2]), True),
        (50706, "B", 4, bytes([1, 4, 0, 0]), True),
        (50707, "B", 4, bytes([1, 1, 0, 0]), True),
        (50708, "s", 0, "maker camera", True),
        (50717, "I", 1, 65535, True),
        (50721, "2i", 9, rational(TO_SRGB), True),
        (50728, "2I", 3, rational((1, 1, 1)), True),
        (50778, "H", 1, 21, True),
        *more,
    ]
    file, values = io.BytesIO(), np.rint(mosaic * 65535).astype(np.uint16)
    tifffile.imwrite(file, values, photometric=32803, metadata=None, software=False, extratags=tags)
    return file.getvalue()


def test_a_raw_file_is_developed_upright_to_the_values_of_a_picture(tmp_path):
    (tmp_path / "a.dng").write_bytes(dng(6))
    found = read(tmp_path / "a.dng")
    upright = np.rot90(FACE, -1).transpose(2, 0, 1)
    assert found.shape == (3, 128, 96) and sorted(shape_of(tmp_path / "a.dng")) == [3, 96, 128]
    assert (found.depth, found.is_raw) == (16, True)
    # The mosaic is interpolated; what matters is that neither a curve nor a gain is applied.
    assert np.abs(found.pixels.numpy() - upright).mean() < 0.02
    assert np.abs(found.pixels.numpy().mean((1, 2)) - upright.mean((1, 2))).max() < 0.01


def with_exposure(exif: Image.Exif) -> Image.Exif:
    exif[ExifTags.IFD.Exif] = {
        ExifTags.Base.ISOSpeedRatings: 400,
        ExifTags.Base.ExposureTime: 0.25,
        ExifTags.Base.MakerNote: b"x" * 90,
    }
    return exif


def test_exif_data_are_kept_and_written(tmp_path):
    """Those of the file itself, of which what tells where its pixels lie is none."""
    block = with_exposure(Image.Exif()).tobytes()[6:]
    part = Image.Exif()
    part.load(block)
    directory = TiffImagePlugin.ImageFileDirectory_v2(b"II*\0" + bytes(4))
    for tag, value in part.get_ifd(ExifTags.IFD.Exif).items():
        if tag != ExifTags.Base.MakerNote:
            directory[tag] = value
    # Behind the file, whose pointer to it tifffile writes as a tag of another number alone.
    start = len(dng(6, (65000, "I", 1, 0, True)))
    file = dng(6, (65000, "I", 1, start, True))
    pointers = [struct.pack("<HHI", tag, 4, 1) for tag in (65000, ExifTags.IFD.Exif)]
    assert file.count(pointers[0]) == 1
    data = file.replace(*pointers) + directory.tobytes(start)
    (tmp_path / "a.dng").write_bytes(data)
    found = read(tmp_path / "a.dng")
    write(tmp_path / "b.png", found)
    with Image.open(tmp_path / "b.png") as written:
        exif = written.getexif()
    assert exif[ExifTags.Base.Make] == "maker" and exif[ExifTags.Base.Model] == "camera"
    assert set(exif) == {ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.IFD.Exif}
    assert exif.get_ifd(ExifTags.IFD.Exif) == {ExifTags.Base.ISOSpeedRatings: 400, ExifTags.Base.ExposureTime: 0.25}


def test_exif_data_of_other_files_are_the_preview_s():
    preview, exif = io.BytesIO(), with_exposure(Image.Exif())
    exif[ExifTags.Base.Make] = "maker"
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (16, 8)).save(preview, "JPEG", exif=exif)
    file = SimpleNamespace(extract_thumb=lambda: SimpleNamespace(data=preview.getvalue()))
    found = raw._exif(b"FUJIFILMCCD-RAW", file)
    assert found[ExifTags.Base.Make] == "maker" and ExifTags.Base.Orientation not in found
    assert found[ExifTags.IFD.Exif][ExifTags.Base.ISOSpeedRatings] == 400
    assert not raw._exif(b"FUJIFILMCCD-RAW", None)


def test_a_raw_file_by_another_name_is_not_its_mosaic():
    with pytest.raises(IptError, match=r"colours are of kind CFA"):
        decode(dng(), "a.tif")


def test_damage_is_said():
    with pytest.raises(IptError, match=r"a.dng is damaged or cut short"):
        decode(dng()[:5000], "a.dng")
