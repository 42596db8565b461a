"""Several exposures of one scene, from a folder or a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from ipt.core.errors import IptError
from ipt.images.exposures import combined, read_exposures
from ipt.images.files import Picture

FRAMES = np.random.default_rng(0).integers(0, 256, (3, 12, 10), dtype=np.uint8)


def as_folder(folder: Path) -> Path:
    folder.mkdir()
    for number, frame in enumerate(FRAMES):
        Image.fromarray(frame).save(folder / f"{number}.png")
    return folder


def as_tiff(path: Path) -> Path:
    first, *others = map(Image.fromarray, FRAMES)
    first.save(path, save_all=True, append_images=others)
    return path


def as_gif(path: Path) -> Path:
    first, *others = map(Image.fromarray, FRAMES)
    first.save(path, save_all=True, append_images=others)
    return path


@pytest.mark.parametrize(("write", "name"), [(as_folder, "scene"), (as_tiff, "a.tif"), (as_gif, "a.gif")])
def test_all_frames_are_read_in_their_order(tmp_path, write, name):
    frames = read_exposures(write(tmp_path / name))
    assert [frame.depth for frame in frames] == [8, 8, 8]
    assert (torch.stack([frame.pixels[0] for frame in frames]).mul(255).round().numpy() == FRAMES).all()
    assert all(frame.shape == (1, 12, 10) and frame.alpha is None for frame in frames)


def test_16_bits_stay(tmp_path):
    values = np.random.default_rng(1).integers(0, 65536, (3, 12, 10), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack")
    frames = read_exposures(tmp_path / "a.tif")
    assert [frame.depth for frame in frames] == [16] * 3
    assert (torch.stack([frame.pixels[0] for frame in frames]).mul(65535).round().numpy() == values).all()


def test_a_colour_gif_keeps_its_colours(tmp_path):
    first, second = (Image.new("RGB", (10, 12), colour) for colour in ((255, 0, 0), (0, 0, 255)))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    red, blue = read_exposures(tmp_path / "a.gif")
    assert red.pixels[:, 0, 0].tolist() == [1, 0, 0] and blue.pixels[:, 0, 0].tolist() == [0, 0, 1]


def test_mean_and_median_are_pixel_by_pixel():
    frames = [Picture(torch.full((1, 8, 8), value), depth=16) for value in (0.0, 0.1, 0.2, 0.9)]
    made = combined(frames)
    torch.testing.assert_close(made["mean"].pixels, torch.full((1, 8, 8), 0.3))
    torch.testing.assert_close(made["median"].pixels, torch.full((1, 8, 8), 0.15))
    assert made["mean"].depth == 16


def test_one_frame_is_no_series(tmp_path):
    Image.fromarray(FRAMES[0]).save(tmp_path / "a.png")
    with pytest.raises(IptError, match=r"a\.png has one frame; .* leave out frames=True"):
        read_exposures(tmp_path / "a.png")


def test_frames_of_different_sizes_are_named(tmp_path):
    folder = as_folder(tmp_path / "scene")
    Image.fromarray(FRAMES[0][:, :9]).save(folder / "1.png")
    with pytest.raises(IptError, match=r"0\.png has 10 x 12 px and 1\.png 9 x 12"):
        read_exposures(folder)


def test_grey_and_colour_do_not_mix(tmp_path):
    folder = as_folder(tmp_path / "scene")
    Image.new("RGB", (10, 12), "red").save(folder / "1.png")
    with pytest.raises(IptError, match=r"0\.png and 1\.png are not both grey"):
        read_exposures(folder)


def test_the_page_that_cannot_be_read_is_named(tmp_path):
    pages = [FRAMES[0], FRAMES[1].astype(np.float32)]
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for page in pages:
            file.write(page, photometric="minisblack", contiguous=False)
    with pytest.raises(IptError, match=r"a\.tif, page 2 cannot be used: its floats run"):
        read_exposures(tmp_path / "a.tif")


def test_what_is_no_series_is_refused(tmp_path):
    (tmp_path / "a.gif").write_bytes(b"no picture")
    with pytest.raises(IptError, match="not a picture that ipt reads"):
        read_exposures(tmp_path / "a.gif")
    whole = as_tiff(tmp_path / "a.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[:40])
    with pytest.raises(IptError, match="damaged or cut short"):
        read_exposures(tmp_path / "cut.tif")
