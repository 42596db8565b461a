"""Results in several formats."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image, ImageCms

from ipt.cli.main import cli
from ipt.core.errors import IptError
from ipt.images import files
from ipt.images.files import Picture
from ipt.images.formats import suffix_for, suffixes, write_as
from ipt.report.embedding import ResultFiles
from ipt.solve.outputs import read_record

QUICK = ("--prior", "gaussian", "--prior", "kernel=gaussian", "--set", "operator.kernel_size=7", "--steps", "3")


def picture(channels: int, depth: int, alpha: bool = False) -> Picture:
    random = torch.Generator().manual_seed(0)
    exif = Image.Exif()
    exif.update({270: "a leaf", 315: "me"})
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() if channels == 3 else b""
    metadata = {"exif": exif.tobytes().removeprefix(b"Exif\0\0"), **({"icc": icc} if icc else {})}
    # Smooth, so that a JPEG is near it.
    pixels = (
        torch.linspace(0, 1, 20 * 12).reshape(1, 20, 12).repeat(channels, 1, 1)
        * (1 - 0.2 * torch.arange(channels))[:, None, None]
    )
    return Picture(pixels, torch.rand(1, 20, 12, generator=random) if alpha else None, depth, metadata=metadata)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("alpha", [False, True], ids=["opaque", "alpha"])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_without_loss(suffix, alpha, channels, depth, tmp_path):
    given = picture(channels, depth, alpha)
    write_as(tmp_path / f"a{suffix}", given)
    found = files.read(tmp_path / f"a{suffix}")
    if suffix == ".webp":
        # It has 8 bits, and no grey.
        given = replace(given, depth=8, pixels=given.pixels.expand(3, -1, -1))
    assert found.depth == given.depth and np.array_equal(found.levels(), given.levels())
    assert found.metadata.get("icc") == given.metadata.get("icc") and b"a leaf" in found.metadata["exif"]
    assert [path.name for path in tmp_path.iterdir()] == [f"a{suffix}"]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("depth", [8, 16])
def test_a_jpeg_is_near(channels, depth, tmp_path):
    given = picture(channels, depth)
    write_as(tmp_path / "a.jpg", given)
    found = files.read(tmp_path / "a.jpg")
    assert found.source == ("JPEG L" if channels == 1 else "JPEG RGB") and b"a leaf" in found.metadata["exif"]
    assert float((found.pixels - given.pixels).abs().max()) < 0.03
    # Numbers of 12 bits of 16 are as bright in it.
    dark = replace(given, depth=16, white=4095)
    write_as(tmp_path / "b.jpg", dark)
    assert (tmp_path / "b.jpg").read_bytes() == (tmp_path / "a.jpg").read_bytes()


def test_the_suffix_of_a_result():
    def chosen(choice: str, source: str = "", alpha: bool = False) -> str:
        return suffix_for(choice, replace(picture(3, 8, alpha), source=source))

    assert [chosen(choice, "JPEG RGB") for choice in ("png", "tiff", "jpeg", "same")] == [
        ".png",
        ".tif",
        ".jpg",
        ".jpg",
    ]
    sources = ("PNG 16-bit", "TIFF uint16", "MPO RGB", "WEBP RGB", "GIF P", "array uint8", "example")
    assert [chosen("same", source) for source in sources] == [".png", ".tif", ".jpg", ".webp", ".png", ".png", ".png"]
    assert chosen("same", "TIFF RGBA", alpha=True) == ".tif" and suffixes("tiff") == (".tif",)
    with pytest.raises(IptError, match="alpha, which a JPEG has not; choose format=png"):
        chosen("jpeg", alpha=True)
    with pytest.raises(IptError, match="format= is png, same, tiff, jpeg, npy or npz, not 'bmp'"):
        chosen("bmp")


def test_values_that_are_not_finite_are_not_written(tmp_path):
    broken = replace(picture(3, 8), pixels=torch.full((3, 20, 12), float("nan")))
    for suffix in (".jpg", ".tif"):
        with pytest.raises(IptError, match="NaN or infinite"):
            write_as(tmp_path / f"a{suffix}", broken)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("channels", [1, 3])
def test_a_tiff_of_16_bits_is_shown_in_the_report(channels, tmp_path):
    given = picture(channels, 16)
    write_as(tmp_path / "a.tif", given)
    shown = ResultFiles(tmp_path, {"result": "a.tif"}).embed("result", 240, "the result")
    assert shown is not None and (shown.width, shown.height) == (12, 20)


def solve(folder: Path, out: Path, *flags: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["solve", str(folder), "-o", str(out), *QUICK, *flags])
    return result.exit_code, result.stderr


def test_the_command_writes_each_as_it_came(tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for suffix in (".jpg", ".tif", ".png"):
        write_as(folder / f"a{suffix[1:]}{suffix}", picture(3, 8))
    assert solve(folder, out, "--format", "same")[0] == 0
    assert (
        read_record(out, "ajpg")["files"]["result"] == "ajpg.jpg" and files.read(out / "ajpg.jpg").source == "JPEG RGB"
    )
    assert (out / "atif.tif").is_file() and (out / "apng.png").is_file() and not (out / "ajpg.png").exists()
    assert "done before" in solve(folder, out, "--format", "same")[1]
    code, said = solve(folder, out)
    assert code == 1 and "format same -> png" in said
    # The file of the other format goes with its result.
    assert solve(folder, out, "--format", "tiff", "--force")[0] == 0
    assert (out / "ajpg.tif").is_file() and not (out / "ajpg.jpg").exists()


def test_a_picture_with_alpha_is_no_jpeg_and_says_so_before_it_is_solved(tmp_path):
    write_as(tmp_path / "a.png", picture(3, 8, alpha=True))
    code, said = solve(tmp_path / "a.png", tmp_path / "out", "--format", "jpeg")
    assert code == 1 and "choose --format png or --format tiff" in said
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.tif").touch()
    code, said = solve(tmp_path / "a.png", tmp_path / "other", "--format", "tiff")
    assert code == 1 and "a.tif is there and no result of ipt" in said
