"""Pictures as data: URIs, and which files are looked at."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ipt.report.embedding import ResultFiles


def saved(folder: Path, array: np.ndarray) -> ResultFiles:
    Image.fromarray(array).save(folder / "a.png")
    return ResultFiles(folder, {"result": "a.png", "elsewhere": "../a.png", "gone": "b.png", "none": None})


@pytest.mark.parametrize(
    ("shape", "side", "kind", "size"),
    [
        ((20, 30, 3), 640, "png", (30, 20)),
        ((20, 30, 3), 240, "webp", (30, 20)),
        ((600, 900, 3), 1200, "jpeg", (900, 600)),
        ((600, 900, 4), 1200, "png", (900, 600)),
        ((600, 900), 300, "png", (300, 200)),
    ],
)
def test_the_smallest_format_that_serves(tmp_path, shape, side, kind, size):
    image = saved(tmp_path, np.full(shape, 200, np.uint8)).embed("result", side, "the result", "before")
    assert image is not None and image.uri.startswith(f"data:image/{kind};base64,")
    decoded = Image.open(io.BytesIO(base64.b64decode(image.uri.split(",")[1])))
    assert decoded.size == (image.width, image.height) == size
    assert image.classes == ("before few" if max(size) <= 256 else "before")


def test_sixteen_bits_are_shown_as_eight(tmp_path):
    image = saved(tmp_path, np.full((8, 8), 257 * 100, np.uint16)).embed("result", 640, "")
    assert image is not None
    assert np.asarray(Image.open(io.BytesIO(base64.b64decode(image.uri.split(",")[1])))).max() == 100


def test_only_files_beside_the_page(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    files = saved(folder, np.zeros((8, 12), np.uint8))
    (tmp_path / "a.png").write_bytes((folder / "a.png").read_bytes())
    assert files.path("result") == folder / "a.png"
    assert all(files.embed(role, 64, "") is None for role in ("elsewhere", "gone", "none", "unknown"))
