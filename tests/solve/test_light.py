"""Solving a picture's light, where light was blurred, and files of astronomy and cameras from end to end."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from skimage import data

import ipt
from ipt.cli.main import cli
from ipt.images.files import Picture
from ipt.operators.blur import Blur
from ipt.simulate.camera import Camera
from ipt.simulate.simulation import Simulation, simulate
from ipt.solve.metrics import psnr
from ipt.solve.picture import solve_picture
from ipt.solve.prepare import ImageTask

QUICK = ("--prior", "gaussian", "--prior", "kernel=gaussian", "--set", "operator.kernel_size=7", "--steps", "3")


@cache
def made(linear: bool) -> Simulation:
    clean = torch.from_numpy(data.astronaut()[10:70, 190:250].transpose(2, 0, 1).astype(np.float32) / 255)
    kernel = {"kernel": torch.full((1, 1, 7, 7), 1 / 49)}
    return simulate(clean, Blur(7), {}, 0.003, 0, True, Camera(linear_light=linear), kernel)


def solved(simulation: Simulation, light: str, source: str = "PNG RGB", noise: float | None = None, steps: int = 12):
    solver = ipt.build(operator="blur", prior="natural", known=("kernel",), steps=steps)
    picture = Picture(simulation.measurement, depth=16, source=source)
    return solve_picture(solver, ImageTask(picture, known=simulation.parameters, light=light, noise=noise))


def test_what_was_blurred_in_light_is_solved_in_light():
    simulation = made(True)
    found = {light: solved(simulation, light, noise=0.003) for light in ("linear", "display")}
    error = {light: psnr(result.picture.pixels.clamp(0, 1), simulation.clean) for light, result in found.items()}
    assert error["linear"] > error["display"] + 1.5 and error["linear"] > psnr(simulation.measurement, simulation.clean)
    assert [result.record["light"] for result in found.values()] == ["linear", "display"]
    # The measurement that is shown stays the picture, and the noise is that of its light.
    assert torch.equal(found["linear"].measurement.pixels, simulation.measurement)
    assert 0.3 < found["linear"].noise / 0.003 < 2 and found["display"].noise == 0.003


def test_what_is_seen_on_the_way_are_values():
    simulation, seen = made(True), []
    solver = ipt.build(operator="blur", prior="gaussian", known=("kernel",), steps=3)
    task = ImageTask(Picture(simulation.measurement, depth=16), known=simulation.parameters, light="linear")
    result = solve_picture(solver, task, progress=seen.append)
    shown = seen[-1].estimate()["image"]
    assert float((shown - result.picture.pixels).abs().mean()) < 0.02 and len(seen) == 3


def test_a_raw_file_is_solved_in_light_by_itself():
    simulation = made(True)
    for source, light in (("RAW developed", "linear"), ("JPEG RGB", "display")):
        found, expected = (solved(simulation, choice, source, steps=2) for choice in ("auto", light))
        assert torch.equal(found.picture.pixels, expected.picture.pixels)


def test_a_fits_file_comes_back_in_its_own_numbers(tmp_path):
    fits = pytest.importorskip("astropy.io.fits", reason="the optional package astropy is not installed")
    sky = 3000 + 500 * made(False).measurement.mean(0).numpy()
    fits.PrimaryHDU(sky).writeto(tmp_path / "a.fits")
    arguments = ["solve", str(tmp_path / "a.fits"), "-o", str(tmp_path / "out"), "--format", "same", *QUICK]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "out" / "a.json").read_text())
    low, high = record["span"]
    assert record["files"]["result"] == "a.fits" and low < sky.min() and high > sky.max()
    restored = ipt.restore(
        tmp_path / "a.fits",
        prior={"image": "gaussian", "kernel": "gaussian"},
        settings={"operator.kernel_size": 7},
        steps=3,
    )
    with fits.open(tmp_path / "out" / "a.fits") as units:
        assert np.allclose(restored.picture, units[0].data, rtol=1e-5)
        assert abs(units[0].data.mean() - sky.mean()) < 30 and (tmp_path / "out" / "report.html").exists()
