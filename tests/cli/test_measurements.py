"""Measurements that are no pictures, by command line: complex, of any range and channels, lines, with noise of their
own; the results equal the library's."""

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

PAGE = Path(__file__).parents[2] / "docs" / "measurements.md"
PLUGIN = """
import ipt


class Counter(ipt.ParametricOperator, ipt.PhysicalUnits):
    def measured(self):
        return ipt.MeasurementSpec("counts", "photons", gain=1.0)

    def parameters(self, image_shape):
        return {"light": ipt.ParameterSpec((1, 1, 1), "counts of white", "photons", range=(500.0, 1500.0))}

    def forward(self, image, light):
        return light * image


class Bright(ipt.ParametricOperator):
    def parameters(self, image_shape):
        return {}

    def forward(self, image):
        return 3 * image - 1


@ipt.hookimpl
def ipt_operators():
    yield ipt.Component("counter", Counter, "counts")
    yield ipt.Component("bright", Bright, "no picture, and does not say so")
"""


@pytest.fixture
def place(install, tmp_path, monkeypatch):
    install("counters", PLUGIN)
    (of_the_page,) = re.findall(
        r"^<!-- kspace -->\n```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    install("scanner", of_the_page)
    monkeypatch.chdir(tmp_path)
    files.write("face.png", files.Picture(face(32), depth=16))
    return tmp_path


def run(*arguments, code=0):
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert done.exit_code == code, done.output
    return done


QUICK = ("--prior", "gaussian", "--steps", 8)


def test_complex_ones_in_units_go_in_and_out_and_equal_the_library(place):
    run("simulate", "face.png", "-o", "scan", "--operator", "kspace")
    scan = np.load("scan/face.npy")
    assert scan.dtype == np.complex64 and scan.shape == (3, 32, 32) and abs(scan).max() > 300
    run("solve", "scan", "-o", "out", "--operator", "kspace", "--reference", "scan/truth", *QUICK)
    record = json.loads((place / "out" / "face.json").read_text())
    assert record["noise"] == 0.5 and record["noise_from"] == "operator" and record["verdict"].startswith("fits")
    assert record["metrics"]["psnr"] > 24 and "psnr_input" not in record["metrics"]
    assert np.array_equal(np.load("out/face.measurement.npy"), scan)
    assert (place / "out" / "face.png").is_file() and (place / "out" / "report.html").is_file()
    measurement = torch.from_numpy(np.concatenate([scan.real, scan.imag]))[None]
    solver = ipt.build("kspace", "gaussian", steps=8)
    found = solver.solve(measurement, 0.5, seeds=[image_seed(0, "face.npy")])
    np.testing.assert_allclose(np.load("out/face.npy"), found.image[0].numpy(), atol=1e-5)
    np.testing.assert_allclose(np.load("out/face.gain.npy"), found.parameters["gain"][0].numpy(), rtol=1e-5)
    again = ipt.restore(scan, "kspace", "gaussian", steps=8, name="face.npy")
    np.testing.assert_allclose(again.picture, found.image[0].numpy(), atol=1e-5)


def test_the_example_of_the_page_is_solved_without_an_input(place):
    words = run("solve", "-o", "out", "--operator", "kspace", *QUICK).output
    assert "degraded here by kspace" in words and "with noise 0.5" in words
    assert np.load("out/astronaut.measurement.npy").dtype == np.complex64
    assert np.load("out/astronaut.npy").shape == (3, 128, 128)


def test_counts_of_a_line_have_the_operators_own_noise(place):
    line = 0.5 + 0.3 * np.sin(np.linspace(0, 9, 120))
    np.save("line.npy", line.astype(np.float32))
    run("simulate", "line.npy", "-o", "counts", "--operator", "counter")
    counts = np.load("counts/line.npy")
    assert counts.shape == (1, 1, 120) and np.array_equal(counts, counts.round()) and counts.max() > 300
    run("solve", "counts/line.npy", "-o", "out", "--operator", "counter", "--prior", "smooth", "--steps", 20)
    record = json.loads((place / "out" / "line.json").read_text())
    assert record["noise_model"] == "poisson" and record["noise_from"] == "operator"
    assert record["verdict"].startswith("fits") and np.load("out/line.npy").shape == (1, 1, 120)


def test_what_is_no_measurement_of_the_operator_is_refused_with_the_reason(place):
    refused = run("solve", "face.png", "-o", "out", "--operator", "kspace", *QUICK, code=1)
    words = " ".join(refused.output.split())
    assert "face.png has 3 channels of real numbers, and the operator measures k-space, which is complex" in words
    camera = run("simulate", "face.png", "-o", "scan", "--operator", "kspace", "--jpeg", "80", code=2)
    assert "which is no picture; drop --jpeg 80\n" in camera.output
    np.save("bands.npy", np.random.default_rng(0).uniform(0.2, 0.8, (5, 32, 32)).astype(np.float32))
    bands = run("solve", "bands.npy", "-o", "out", "--operator", "blur:5", code=1)
    words = " ".join(bands.output.split())
    assert "no picture of 5 channels" in words and words.endswith("choose another --prior") and "--fit" not in words


def test_five_channels_stay_five(place):
    np.save("bands.npy", np.random.default_rng(0).uniform(0.2, 0.8, (5, 16, 16)).astype(np.float32))
    run("simulate", "bands.npy", "-o", "blurred", "--operator", "blur:5", "--noise", ".01")
    assert np.load("blurred/bands.npy").shape == np.load("blurred/truth/bands.npy").shape == (5, 16, 16)
    known = ("--known", "kernel=blurred/truth/bands.kernel.npy")
    run("solve", "blurred", "-o", "out", "--operator", "blur:5", "--noise", ".01", *known, *QUICK)
    assert np.load("out/bands.npy").shape == (5, 16, 16)
    refused = run("solve", "blurred", "-o", "b", "--operator", "blur:5", *known, *QUICK, "--format", "jpeg", code=3)
    assert "5 channels" in refused.output and "--format npy" in refused.output.replace("\n", " ")


def test_what_is_no_picture_is_not_written_as_one(place):
    refused = run("simulate", "face.png", "-o", "bright", "--operator", "bright", code=1)
    words = " ".join(refused.output.split())
    assert "run from -" in words and "--format npy" in words and "ipt.PhysicalUnits" in words
    assert not (place / "bright").exists()
    run("simulate", "face.png", "-o", "bright", "--operator", "bright", "--format", "npz", "--noise", "0")
    np.testing.assert_allclose(np.load("bright/face.npz")["measurement"], 3 * face(32).numpy() - 1, atol=1e-4)


def test_noise_by_command_line(place):
    run("simulate", "face.png", "-o", "dim", "--operator", "blur:5", "--noise", "poisson:200")
    kernel = ("--known", "kernel=dim/truth/face.kernel.npy", "--operator", "blur:5")
    levels = np.full((32, 32), 0.07, np.float32)
    np.save("levels.npy", levels)
    found = {}
    for name, noise in {"told": "poisson:200", "found": "poisson", "map": "levels.npy", "flat": ".07"}.items():
        run("solve", "dim", "-o", name, *kernel, "--noise", noise, *QUICK)
        found[name] = json.loads((place / name / "face.json").read_text())
        assert found[name]["verdict"].startswith("fits"), found[name]["verdict"]
    assert found["told"]["noise_model"] == found["found"]["noise_model"] == "poisson"
    assert found["found"]["noise"] == pytest.approx(found["told"]["noise"], rel=0.35)
    # A map of one level is that level.
    assert np.abs(read("map") - read("flat")).max() < 1e-3 and found["map"]["noise_model"] == "map"
    # The options are read again to the same.
    run("solve", "--config", "told/run.yaml", "-o", "again")
    assert np.array_equal(read("again"), read("told"))


def read(folder):
    return files.read(f"{folder}/face.png").pixels.numpy()


@pytest.mark.parametrize(
    ("noise", "words"),
    [
        ("levels.npy", "the map of noise levels is of shape (1, 4, 4), and the measurement (3, 32, 32)"),
        ("nowhere.npy", "nowhere.npy cannot be read"),
        ("2.5", "divide it by 255"),
    ],
)
def test_noise_that_does_not_fit_is_refused(place, noise, words):
    np.save("levels.npy", np.ones((4, 4), np.float32))
    refused = CliRunner().invoke(
        cli, ["solve", "face.png", "-o", "out", "--operator", "blur:5", "--noise", noise, *map(str, QUICK)]
    )
    assert refused.exit_code in (1, 2) and words in " ".join(refused.output.split())
