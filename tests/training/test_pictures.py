"""Pictures on disk become one array: cut, reduced, cached, or refused with the reason."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from ipt.core.errors import IptError
from ipt.images import files
from ipt.training.pictures import load, square, usual_held_out


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three colour pictures, one of them in a subfolder, and things that are none."""
    place = tmp_path / "pictures"
    (place / "more").mkdir(parents=True)
    for name, colour in (("b.png", (0, 255, 0)), ("a.JPG", (255, 0, 0)), ("more/c.webp", (0, 0, 255))):
        Image.new("RGB", (40, 24), colour).save(place / name)
    (place / "notes.txt").write_text("not a picture")
    (place / ".hidden.png").write_text("not a picture either")
    return place


def test_a_folder_becomes_an_array_in_the_order_of_names(folder, tmp_path):
    array = load(folder, tmp_path / "out", size=16)
    assert array.shape == (3, 16, 16, 3) and array.dtype == np.uint8 and isinstance(array, np.memmap)
    assert not array.flags.writeable
    assert np.abs(array[:, 8, 8].astype(int) - [[255, 0, 0], [0, 255, 0], [0, 0, 255]]).max() <= 4


def test_the_array_is_made_once_and_again_when_the_folder_changes(folder, tmp_path):
    said: list[str] = []

    def again() -> np.ndarray:
        return load(folder, tmp_path / "out", 16, log=said.append)

    again(), again()
    assert said == [f"converting 3 pictures of {folder} to 16 x 16 px"]
    Image.new("RGB", (20, 20), (9, 9, 9)).save(folder / "d.png")
    assert len(again()) == 4 and len(said) == 2
    # The same name and size, another content.
    status = (folder / "d.png").stat()
    Image.new("RGB", (20, 20), (8, 8, 8)).save(folder / "d.png")
    os.utime(folder / "d.png", ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))
    assert again()[2, 0, 0].tolist() == [8, 8, 8] and len(said) == 3
    (folder / "d.png").unlink()
    assert len(again()) == 3
    assert len(load(folder, tmp_path / "out", 8, log=said.append)) == 3 and len(said) == 5
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_the_centre_is_kept_and_reduced_without_aliasing():
    wide = torch.zeros(1, 8, 24)
    wide[..., 8:16] = 1
    assert (square(wide, 8) == 1).all()
    # Stripes finer than the result's pixels turn grey instead of into wider stripes.
    stripes = torch.arange(64).remainder(2).float().expand(1, 64, 64)
    assert (square(stripes, 16) - 0.5)[..., 2:-2].abs().max() < 0.05
    assert torch.equal(square(stripes, 64), stripes)


def test_a_pack_of_jpeg_files(tmp_path):
    files = []
    for level in (10, 120, 240):
        buffer = BytesIO()
        Image.new("RGB", (16, 16), (level, level, level)).save(buffer, "JPEG")
        files.append(buffer.getvalue())
    offsets = np.cumsum([0, *map(len, files)])
    np.savez(tmp_path / "pack.npz", buf=np.frombuffer(b"".join(files), np.uint8), off=offsets)
    array = load(tmp_path / "pack.npz", tmp_path / "out", 16)
    assert array.shape == (3, 16, 16, 3)
    assert np.abs(array[:, 0, 0, 0].astype(int) - [10, 120, 240]).max() <= 2
    np.savez(tmp_path / "short.npz", buf=np.frombuffer(b"".join(files)[:-40], np.uint8), off=offsets)
    with pytest.raises(IptError, match="offsets that do not fit its bytes"):
        load(tmp_path / "short.npz", tmp_path / "out", 16)
    np.savez(tmp_path / "other.npz", pictures=np.zeros(3))
    with pytest.raises(IptError, match="not a pack of JPEG files"):
        load(tmp_path / "other.npz", tmp_path / "out", 16)


def test_an_array_is_taken_as_it_is(tmp_path):
    np.save(tmp_path / "grey.npy", np.zeros((5, 8, 12), np.uint8))
    assert load(tmp_path / "grey.npy", tmp_path / "out").shape == (5, 8, 12, 1)
    assert not (tmp_path / "out").exists()
    for options, message in (({"size": 8}, "12 x 8 px, not 8 x 8: leave"), ({"channels": 3}, "has 1 channels, not 3")):
        with pytest.raises(IptError, match=message):
            load(tmp_path / "grey.npy", tmp_path / "out", **options)
    np.save(tmp_path / "float.npy", np.zeros((5, 8, 8, 3)))
    with pytest.raises(IptError, match="pictures are uint8"):
        load(tmp_path / "float.npy", tmp_path / "out")
    (tmp_path / "cut.npy").write_bytes((tmp_path / "grey.npy").read_bytes()[:200])
    with pytest.raises(IptError, match=r"not a readable .npy array"):
        load(tmp_path / "cut.npy", tmp_path / "out")


def test_grey_and_colour_together_need_a_choice(folder, tmp_path):
    Image.new("L", (20, 20), 77).save(folder / "z.png")
    with pytest.raises(IptError, match=r"1 of 4 pictures differ in their channels; .*z.png is grey") as caught:
        load(folder, tmp_path / "out", 16)
    assert "channels=3" in str(caught.value)
    assert load(folder, tmp_path / "out", 16, channels=3)[3, 0, 0].tolist() == [77, 77, 77]
    grey = load(folder, tmp_path / "out", 16, channels=1)
    assert np.abs(grey[:, 8, 8, 0].astype(int) - [76, 150, 29, 77]).max() <= 4


def test_transparency_depth_palettes_and_orientation(tmp_path):
    place = tmp_path / "pictures"
    place.mkdir()
    Image.new("RGBA", (8, 8), (1, 2, 3, 255)).save(place / "a.png")
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(place / "b.png")
    Image.new("P", (8, 8), 0).save(place / "c.png")
    turned = Image.new("L", (16, 8), 0)
    turned.paste(255, (0, 0, 8, 8))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(place / "d.png", exif=exif)
    array = load(place, tmp_path / "out", 8, channels=3)
    assert array[0, 0, 0].tolist() == [1, 2, 3]
    assert array[1, 0, 0].tolist() == [round(40_000 / 257)] * 3
    # On its side as stored, its left half white; upright, its upper half.
    assert array[3, 0, 0, 0] > 250 and array[3, 7, 7, 0] < 5
    Image.new("RGBA", (8, 8), (1, 2, 3, 128)).save(place / "e.png")
    with pytest.raises(IptError, match=r"e.png has transparent parts"):
        load(place, tmp_path / "out", 8, channels=3)


def test_what_a_training_reads_is_what_a_solve_reads(tmp_path):
    place, values = tmp_path / "pictures", np.random.default_rng(0).integers(0, 65536, (9, 9, 3), np.uint16)
    place.mkdir()
    tifffile.imwrite(place / "a.tif", np.moveaxis(values, -1, 0), photometric="rgb", planarconfig="separate")
    tifffile.imwrite(place / "b.tif", values[:, :, 0], photometric="miniswhite")
    tifffile.imwrite(place / "c.tif", (values / 65535).astype(np.float32) * 1.05, photometric="rgb")
    tifffile.imwrite(place / "d.tif", values >> 4, photometric="rgb")
    array = load(place, tmp_path / "out", 9, channels=3)
    for index, name in enumerate("abcd"):
        picture = files.read(place / f"{name}.tif")
        solved = picture.in_used_bits(picture.used_bits).pixels.clamp(0, 1).expand(3, 9, 9).permute(1, 2, 0).numpy()
        assert np.array_equal(array[index], np.rint(255 * solved)), name
    assert abs(array[3].mean() - array[0].mean()) < 1


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda folder: (folder / "e.png").write_bytes(b"nothing"),
            "1 of 4 pictures cannot be used; the first: .*e.png is not a picture",
        ),
        (
            lambda folder: Image.new("RGB", (40, 12)).save(folder / "e.png"),
            "e.png has 40 x 12 px.\nThey must be at least 16 x 16 px",
        ),
        (lambda folder: Image.new("CMYK", (40, 40)).save(folder / "e.jpg"), "e.jpg cannot be used: .* CMYK"),
    ],
)
def test_a_picture_that_does_not_do_is_named_and_nothing_is_left(folder, tmp_path, spoil, message):
    spoil(folder)
    with pytest.raises(IptError, match=message):
        load(folder, tmp_path / "out", 16)
    assert list((tmp_path / "out").iterdir()) == []


def test_nothing_to_read_is_said_plainly(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "one.png").write_bytes(b"")
    for name, message in (("empty", "holds no pictures"), ("missing", "does not exist"), ("one.png", "is one file")):
        with pytest.raises(IptError, match=message):
            load(tmp_path / name, tmp_path / "out")
    with pytest.raises(IptError, match="1 or 3 channels, not 2"):
        load(tmp_path / "empty", tmp_path / "out", channels=2)


def test_how_many_are_held_out():
    assert [usual_held_out(count) for count in (2, 9, 100, 5000, 24_211)] == [1, 1, 10, 500, 500]
