"""One grey picture, however it is stored: as grey or as colour, in 8 or 16 bits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from skimage import data

from ipt.cli.main import cli
from ipt.images.files import read

SETTINGS = {
    "without a word": (),
    "fixed sizes": ("--prior", "faces"),
    "known kernel": ("--known", "kernel={kernel}"),
    "several draws": ("--samples", "2"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The same blurred values as grey8/a.png, colour8/a.png and grey16/a.png, for seeds go by names; and the kernel."""
    folder = tmp_path_factory.mktemp("stored")
    sharp = data.camera()[100:172, 200:272].astype(float)
    grey = np.mean([sharp[4 : 4 + 64, shift : shift + 64] for shift in range(8)], 0).round().astype(np.uint8)
    np.save(folder / "kernel.npy", np.pad(np.full((1, 8), 0.125), ((4, 3), (0, 0))))
    stored = {
        "grey8": Image.fromarray(grey),
        "colour8": Image.fromarray(grey).convert("RGB"),
        "grey16": Image.fromarray(grey.astype(np.uint16) * 257),
    }
    for name, image in stored.items():
        (folder / name).mkdir()
        image.save(folder / name / "a.png")
    return folder


def solved(folder: Path, name: str, *arguments: str):
    """Pixels (C, H, W) of the result, and its record."""
    given = [argument.format(kernel=folder / "kernel.npy") for argument in arguments]
    out = folder / name / str(len(list((folder / name).iterdir())))
    result = CliRunner().invoke(cli, ["solve", str(folder / name / "a.png"), "-o", str(out), "--steps", "4", *given])
    assert result.exit_code == 0, result.stderr
    return read(out / "a.png").pixels, json.loads((out / "a.json").read_text())


@pytest.mark.parametrize("settings", SETTINGS)
def test_one_measurement(folder, settings):
    grey, record = solved(folder, "grey8", *SETTINGS[settings])
    assert grey.shape == (1, 64, 64) and record["fit"]["solved_at"] == [1, 64, 64]
    for name, channels in (("colour8", 3), ("grey16", 1)):
        found, other = solved(folder, name, *SETTINGS[settings])
        assert found.shape == (channels, 64, 64) and (found == found[:1]).all()
        # 8 bits round by half a step.
        assert (found[:1] - grey).abs().max() <= (0.6 if name == "grey16" else 0) / 255
        assert other["fit"]["solved_at"] == [1, 64, 64] and other["residual"] == record["residual"]
        assert other["trace"] == record["trace"]
        assert (other["noise"], other["noise_of_input"]) == (record["noise"], record["noise_of_input"])
        assert other["options"]["prior.image"] == record["options"]["prior.image"]
