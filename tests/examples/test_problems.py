"""The five problems of examples/plugins/ipt-problems, each solved by the commands of its page, with fewer steps."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import ipt
from ipt.cli.main import cli
from ipt.images import files
from ipt.linalg.random import image_seed
from ipt.solve.example import face

FOLDER = Path(__file__).parents[2] / "examples" / "plugins" / "ipt-problems"
PAGE = (FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def place(install, tmp_path, monkeypatch):
    """The package, as if it were installed, in a folder with the pictures of its page."""
    monkeypatch.syspath_prepend(str(FOLDER))
    install("ipt-problems", "", module="no_module_of_its_own", entry="ipt_problems")
    monkeypatch.chdir(tmp_path)
    files.write("face.png", files.Picture(face(64), depth=16))
    files.write("small.png", files.Picture(face(32), depth=16))
    files.write("grey.png", files.Picture(face(64).mean(0, keepdim=True), depth=16))
    return tmp_path


def commands(heading: str) -> list[list[str]]:
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found = re.findall(r"^ipt (.+)$", section, re.MULTILINE)
    assert [line.split()[0] for line in found] == ["simulate", "solve"]
    return [line.split() for line in found]


def solved(heading: str, steps: int, picture: str = "", more: tuple[str, ...] = ()) -> tuple[dict, Path]:
    """The record that the page's commands leave, with another picture and fewer steps, and where it lies."""
    simulate, solve = commands(heading)
    own = Path(simulate[1]).stem
    if picture:
        simulate[1] = f"{picture}.png"
        solve = [word.replace(f"{own}.png", f"{picture}.png").replace(f"/{own}", f"/{picture}") for word in solve]
        # Faces are known at 64 pixels and 128 alone.
        solve = ["natural" if word == "faces" else word for word in solve]
    solve[solve.index("--steps") + 1] = str(steps)
    for arguments in (simulate, [*solve, *more]):
        done = CliRunner().invoke(cli, arguments)
        assert done.exit_code == 0, done.output
    out = Path(solve[solve.index("-o") + 1])
    (path,) = [path for path in out.glob("*.json") if not path.stem.startswith("run")]
    return json.loads(path.read_text()), out


def test_fog_is_lifted(place):
    record, _ = solved("Fog", 30)
    true = np.load(next(place.glob("*/truth/*.transmission.npy")))
    assert record["metrics"]["transmission_error"] < 0.55 * true.std()
    assert record["metrics"]["psnr"] > record["metrics"]["psnr_input"] + 4


def test_a_plane_out_of_focus_is_found(place):
    record, _ = solved("A tilted plane", 8, "small")
    assert record["metrics"]["radius_error"] < 0.8 and record["metrics"]["slope_error"] < 0.8


def test_the_lens_of_a_moving_camera_is_found(place):
    record, out = solved("A moving lens", 15, "small")
    assert record["metrics"]["distortion_error"] < 0.03
    assert np.load(next(out.glob("*.distortion.npy"))).shape == (1, 1, 1)
    shifts, true = (np.load(next(place.glob(f"{folder}/*.shift.npy")))[:, :, 0, 0] for folder in (out.name, "*/truth"))
    # Of all together it is the picture's.
    off = (shifts - shifts.mean(0)) - (true - true.mean(0))
    assert np.sqrt(np.square(off).mean()) < 0.5 * np.sqrt(np.square(true - true.mean(0)).mean())


def test_a_filter_array_is_told_with_its_phase_and_gains(place):
    record, out = solved("A colour filter array", 20)
    assert record["metrics"]["phase_error"] == 0 and record["metrics"]["gains_error"] < 0.05
    assert record["metrics"]["psnr"] > 26
    found = library("bayer", 20, torch.from_numpy(mosaic(place)), "face.png", 0.01, out)
    assert found < 1e-3


def test_the_reference_of_a_hologram_is_found(place):
    record, _ = solved("A hologram", 15)
    counts = np.load("holograms/grey.npy")
    assert counts.max() > 400 and np.array_equal(counts, counts.round())
    assert record["metrics"]["point_error"] < 0.5 and record["noise_model"] == "poisson"
    assert record["metrics"]["psnr"] > 20
    quick = ("--prior", "gaussian", "--steps", "6", "--precision", "fp32")
    done = CliRunner().invoke(cli, ["solve", "holograms", "-o", "plain", "--operator", "hologram", *quick])
    assert done.exit_code == 0, done.output
    assert library("hologram", 6, torch.from_numpy(counts)[None], "grey.npy", 0.0, Path("plain"), 1.0) < 1e-3


def test_total_variation_with_the_most_probable_solution(place):
    record, _ = solved("Total variation", 30)
    assert record["metrics"]["psnr"] > record["metrics"]["psnr_input"] + 0.5
    refused = CliRunner().invoke(cli, ["solve", "small.png", "-o", "no", "--prior", "tv", "--guidance", "dps"])
    assert refused.exit_code == 1 and "TotalVariation, is not differentiable" in " ".join(refused.output.split())


def mosaic(place: Path) -> np.ndarray:
    return files.read(next(place.glob("mosaics/face.png"))).pixels[None].numpy()


def library(
    operator: str, steps: int, measurement: torch.Tensor, name: str, noise: float, out: Path, gain: float = 0.0
) -> float:
    """How far the command's image is from the library's for the same measurement, at most."""
    solver = ipt.build(operator, "faces" if operator == "bayer" else "gaussian", steps=steps, precision="fp32")
    found = solver.solve(measurement, noise, seeds=[image_seed(0, name)], gain=gain).image[0]
    written = next(path for path in (out / f"{Path(name).stem}.npy", out / f"{Path(name).stem}.png") if path.is_file())
    shown = torch.from_numpy(np.load(written)) if written.suffix == ".npy" else files.read(written).pixels
    return float((shown - found.clamp(0, 1)).abs().max())
