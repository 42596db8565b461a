"""Every bit that came is kept, and what cannot be read is said in one or two lines."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from ipt.core.errors import IptError
from ipt.images import png
from ipt.images.files import Picture, decode, inputs, read, shape_of, write

from .conftest import SHAPE, noise


def whole(picture: Picture) -> np.ndarray:
    """Pixels and alpha as integers (H, W, C)."""
    planes = picture.pixels if picture.alpha is None else torch.cat([picture.pixels, picture.alpha])
    return np.rint(planes.double().numpy() * (2**picture.depth - 1)).astype(int).transpose(1, 2, 0)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_comes_back_as_it_was(tmp_path: Path, channels: int, dtype: type) -> None:
    values = noise(channels, dtype)
    (tmp_path / "a.png").write_bytes(png.encode(values))
    picture = read(tmp_path / "a.png")
    assert picture.pixels.dtype == torch.float32 and picture.depth == 8 * np.dtype(dtype).itemsize
    assert picture.shape[0] == (1 if channels < 3 else 3) and (picture.alpha is None) == (channels % 2 == 1)
    assert (whole(picture) == values).all()
    write(tmp_path / "b.png", picture)
    assert (whole(read(tmp_path / "b.png")) == values).all()


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_tiff_keeps_16_bits(tmp_path: Path, channels: int, planar: str) -> None:
    values = noise(channels)
    stored = values[:, :, 0] if channels == 1 else values if planar == "contig" else values.transpose(2, 0, 1)
    options = {} if channels == 1 else {"planarconfig": planar, "extrasamples": ["unassalpha"] * (channels - 3)}
    tifffile.imwrite(
        tmp_path / "a.tif", stored, photometric="minisblack" if channels == 1 else "rgb", compression="zlib", **options
    )
    picture = read(tmp_path / "a.tif")
    assert picture.depth == 16 and (whole(picture) == values).all()


@pytest.mark.parametrize(("bits", "suffix"), [(8, "tif"), (10, "tif"), (12, "png")])
def test_fewer_bits_in_a_file_of_16(bits: int, suffix: str, tmp_path: Path) -> None:
    """What cameras write: white is the largest number of their bits, and what is written has the same numbers."""
    numbers = np.random.default_rng(0).integers(0, 2**bits, SHAPE).astype(np.uint16)
    numbers[0, 0] = 2**bits - 1
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(numbers).save(path)
    stored = read(path)
    assert float(stored.pixels.max()) == pytest.approx((2**bits - 1) / 65535) and stored.used_bits == bits
    picture = stored.in_used_bits(bits)
    assert picture.white == 2**bits - 1 and picture.source.endswith(f", {bits} bits used")
    assert float(picture.pixels.max()) == pytest.approx(1) and picture.used_bits == bits
    write(tmp_path / "out.png", picture.with_pixels(picture.pixels.flip(-1)))
    assert (np.asarray(Image.open(tmp_path / "out.png")) == numbers[:, ::-1]).all()


def test_16_bits_that_are_used_and_alpha_stay(tmp_path: Path) -> None:
    numbers = np.full(SHAPE, 2**12, np.uint16)
    Image.fromarray(numbers).save(tmp_path / "a.png")
    assert read(tmp_path / "a.png").used_bits == 16
    assert Picture(torch.full((1, 8, 8), 0.01), depth=16).used_bits == 16, "it is of no file"
    assert decode(png.encode(np.stack([numbers // 9, numbers], -1)), "a.png").used_bits == 16
    assert decode(png.encode(0 * numbers), "a.png").used_bits == 16


def test_a_picture_in_the_range_of_another() -> None:
    """A truth is compared in the units of the measurement, whose brightest pixel may need fewer bits."""
    bright, dark = (
        Picture(torch.full((1, 8, 8), 0.5), depth=16, white=4095),
        Picture(torch.zeros(1, 8, 8), depth=16, white=1023),
    )
    assert float(bright.in_range_of(dark).pixels.max()) == pytest.approx(0.5 * 4095 / 1023)
    full = Picture(torch.full((1, 8, 8), 0.5), depth=16)
    assert float(bright.in_range_of(full).pixels.max()) == pytest.approx(0.5 * 4095 / 65535)
    assert bright.in_range_of(Picture(torch.zeros(1, 8, 8))) is bright


@pytest.mark.parametrize(
    ("gain", "offset", "said"),
    [(1.9, 0.0, r"from 0\.\d+ to 1\.\d+, and pictures from 0"), (1.0, -0.5, r"scale them to 0\.\.1, as by \(x \+ 0\.")],
)
def test_floats_of_another_range(gain: float, offset: float, said: str, tmp_path: Path) -> None:
    values = np.random.default_rng(0).random(SHAPE).astype(np.float32)
    noise = 0.05 * np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)
    tifffile.imwrite(tmp_path / "noisy.tif", values + noise)
    assert float(read(tmp_path / "noisy.tif").pixels.max()) > 1
    tifffile.imwrite(tmp_path / "a.tif", gain * values + offset)
    with pytest.raises(IptError, match=said):
        read(tmp_path / "a.tif")


def test_float_tiff(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random(SHAPE).astype(np.float32)
    tifffile.imwrite(tmp_path / "a.tif", values)
    picture = read(tmp_path / "a.tif")
    assert picture.depth == 16 and (picture.pixels[0].numpy() == values).all()
    for wrong, said in ((np.nan, "NaN"), (np.inf, "NaN or infinite"), (255.0, "scale them to 0..1")):
        values[2, 3] = wrong
        tifffile.imwrite(tmp_path / "b.tif", values)
        with pytest.raises(IptError, match=said):
            read(tmp_path / "b.tif")


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_lossless_8_bit_formats(tmp_path: Path, suffix: str) -> None:
    values = noise(3, np.uint8)
    Image.fromarray(values).save(tmp_path / f"a{suffix}", lossless=True)
    picture = read(tmp_path / f"a{suffix}")
    assert picture.depth == 8 and (whole(picture) == values).all()


def test_grey_stays_grey_and_palettes_expand(tmp_path: Path) -> None:
    grey = noise(1, np.uint8)[:, :, 0]
    Image.fromarray(grey).save(tmp_path / "grey.jpg")
    assert read(tmp_path / "grey.jpg").shape == (1, *SHAPE)
    Image.fromarray(grey > 127).save(tmp_path / "bit.png")
    assert (read(tmp_path / "bit.png").pixels[0].numpy() == (grey > 127)).all()
    palette = Image.fromarray(noise(3, np.uint8)).quantize(16)
    palette.save(tmp_path / "palette.png", transparency=3)
    picture = read(tmp_path / "palette.png")
    assert (whole(picture)[:, :, :3] == np.asarray(palette.convert("RGB"))).all()
    assert (picture.alpha.numpy()[0] == (np.asarray(palette) != 3)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(tmp_path: Path, orientation: int) -> None:
    upright = np.zeros((10, 16), np.uint8)
    upright[:5, :8] = 200
    upright[0, 1:4] = 255
    # The stored picture is what, turned by Pillow as the tag says, is upright.
    turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = Image.fromarray(upright)
    if orientation > 1:
        stored = stored.transpose(Image.Transpose(turns[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Maker"
    stored.save(tmp_path / "a.png", exif=exif)
    tifffile.imwrite(
        tmp_path / "a.tif", np.asarray(stored).astype(np.uint16) * 257, extratags=[(274, 3, 1, orientation, True)]
    )
    for name in ("a.png", "a.tif"):
        picture = read(tmp_path / name)
        assert np.allclose(picture.pixels[0].numpy(), upright / 255)
        write(tmp_path / "out.png", picture)
        assert (whole(read(tmp_path / "out.png"))[:, :, 0] // (257 if picture.depth == 16 else 1) == upright).all()
    write(tmp_path / "out.png", read(tmp_path / "a.png"))
    with Image.open(tmp_path / "out.png") as image:
        assert dict(image.getexif()) == {0x010F: "Maker"}


@pytest.mark.parametrize("depth", [8, 16])
def test_the_colour_profile_is_kept_where_it_fits(tmp_path: Path, depth: int) -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = Picture(torch.rand(3, *SHAPE), depth=depth, metadata={"icc": profile})
    write(tmp_path / "a.png", picture)
    assert read(tmp_path / "a.png").metadata["icc"] == profile
    assert "icc" not in picture.with_pixels(torch.rand(1, *SHAPE)).metadata


def test_values_are_clipped_and_never_stretched(tmp_path: Path) -> None:
    values = torch.full((1, *SHAPE), 0.4)
    values[0, 0, :3] = torch.tensor([-0.2, 0.6, 1.3])
    write(tmp_path / "a.png", values)
    assert whole(read(tmp_path / "a.png"))[0, :4, 0].tolist() == [0, 153, 255, 102]
    with pytest.raises(IptError, match="NaN"):
        write(tmp_path / "b.png", values * float("nan"))
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_another_size_loses_the_alpha() -> None:
    picture = Picture(torch.rand(3, *SHAPE), torch.rand(1, *SHAPE), 16)
    assert picture.with_pixels(torch.rand(3, *SHAPE)).alpha is picture.alpha
    assert picture.with_pixels(torch.rand(3, 9, 9)).alpha is None


def bad(folder: Path) -> dict[str, Path]:
    """Files that cannot be used, by a word of the message."""
    values = Image.fromarray(noise(3, np.uint8))
    packed = {
        "png": io.BytesIO(),
        "jpeg": io.BytesIO(),
        "cmyk": io.BytesIO(),
        "icon": io.BytesIO(),
        "pages": io.BytesIO(),
    }
    values.save(packed["png"], "PNG")
    values.save(packed["jpeg"], "JPEG", quality=95)
    values.convert("CMYK").save(packed["cmyk"], "JPEG")
    values.save(packed["icon"], "ICO")
    values.save(packed["pages"], "TIFF", save_all=True, append_images=[values])
    deep, damaged = png.encode(noise(3)), bytearray(png.encode(noise(3)))
    damaged[200] ^= 1
    flipped = bytearray(packed["png"].getvalue())
    flipped[len(flipped) // 2] ^= 1
    deep_pages, lab, stack, small = io.BytesIO(), io.BytesIO(), io.BytesIO(), io.BytesIO()
    tifffile.imwrite(deep_pages, np.zeros((2, *SHAPE), np.uint16), photometric="minisblack")
    tifffile.imwrite(stack, np.zeros((5, *SHAPE), np.uint32)[0], photometric="minisblack")
    tifffile.imwrite(lab, noise(3, np.uint8), photometric="cielab")
    Image.new("L", (1, 1)).save(small, "PNG")
    contents = {
        "empty": b"",
        "not a picture": b"hello " * 50,
        "not a picture that": packed["icon"].getvalue(),
        "cut short": packed["png"].getvalue()[:-300],
        "damaged or cut": packed["jpeg"].getvalue()[:-300],
        "cut short.*its data end early": deep[: len(deep) // 2],
        "the checksum of chunk b'IDAT' is wrong": bytes(damaged),
        "checksum of chunk b'IDAT'": bytes(flipped),
        "CMYK": packed["cmyk"].getvalue(),
        "2 pages": packed["pages"].getvalue(),
        "has 2 pages": deep_pages.getvalue(),
        "uint32": stack.getvalue(),
        "LAB": lab.getvalue(),
        "1 x 1": small.getvalue(),
        "damaged or cut short": deep_pages.getvalue()[:60],
    }
    paths = {}
    for index, (said, content) in enumerate(contents.items()):
        paths[said] = folder / f"bad{index}.png"
        paths[said].write_bytes(content)
    return paths | {"give a picture file": folder, "check the name": folder / "nowhere.png"}


def test_what_cannot_be_used_is_said(tmp_path: Path) -> None:
    for said, path in bad(tmp_path).items():
        with pytest.raises(IptError, match=said) as caught:
            read(path)
        assert str(path) in str(caught.value) and len(str(caught.value).splitlines()) <= 2


def test_inputs(tmp_path: Path) -> None:
    with pytest.raises(IptError, match="does not exist"):
        inputs(tmp_path / "nothing")
    with pytest.raises(IptError, match="holds no pictures"):
        inputs(tmp_path)
    for name in ("b.JPG", "a.png", "c.txt", ".hidden.png"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [file.name for file in inputs(tmp_path)] == ["a.png", "b.JPG"]
    assert inputs(tmp_path / "c.txt") == [tmp_path / "c.txt"]
    (tmp_path / "a.webp").touch()
    with pytest.raises(IptError, match=r"would both become a.png"):
        inputs(tmp_path)


def test_the_shape_is_read_without_the_pixels(tmp_path: Path) -> None:
    values = noise(3, np.uint8)
    for mode, suffix, channels in (
        ("L", ".png", 1),
        ("LA", ".png", 1),
        ("RGB", ".jpg", 3),
        ("P", ".gif", 3),
        ("L", ".tif", 1),
    ):
        path = tmp_path / f"{mode}{suffix}"
        Image.fromarray(values).convert(mode).save(path)
        assert shape_of(path) == (channels, *SHAPE), path.name
    whole = (tmp_path / "RGB.jpg").read_bytes()
    (tmp_path / "RGB.jpg").write_bytes(whole[:-200])
    assert shape_of(tmp_path / "RGB.jpg") == (3, *SHAPE)
    with pytest.raises(IptError, match=r"nowhere\.png"):
        shape_of(tmp_path / "nowhere.png")
