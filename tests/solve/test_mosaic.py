"""An image of other channels than the measurement: a colour filter array, with unknown gains of red and blue."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import ipt
from ipt.cli.main import cli
from ipt.images import files
from ipt.solve.example import face
from ipt.solve.picture import solve_picture
from ipt.solve.prepare import ImageTask

MOSAIC = """
import torch

import ipt


class Mosaic(ipt.ParametricOperator, ipt.Linear):
    def image_shape(self, measurement_shape):
        if measurement_shape[0] != 1:
            raise ValueError("a mosaic has one channel")
        return (3, *measurement_shape[1:])

    def parameters(self, image_shape):
        spec = ipt.ParameterSpec((1, 1, 1), "of the sensor", range=(0.3, 1.0), generator="uniform:low=.4,high=.9")
        return {"red": spec, "blue": spec}

    def forward(self, image, red, blue):
        colour = image * torch.cat([red, torch.ones_like(red), blue], 1)
        mosaic = colour[:, 1:2].clone()
        mosaic[..., ::2, ::2] = colour[:, :1, ::2, ::2]
        mosaic[..., 1::2, 1::2] = colour[:, 2:, 1::2, 1::2]
        return mosaic


@ipt.hookimpl
def ipt_operators():
    yield ipt.Component("mosaic", Mosaic, "a colour filter array, red and blue dimmed")
"""
STEPS = 12


def run(*arguments: object) -> str:
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def mosaic(install, tmp_path, monkeypatch) -> Path:
    """A folder with face.png, and its simulated mosaic, raw/face.png."""
    install("colour-filters", MOSAIC)
    monkeypatch.chdir(tmp_path)
    files.write(tmp_path / "face.png", files.Picture(face(64), depth=16))
    run("simulate", "face.png", "-o", "raw", "--operator", "mosaic", "--depth", "16")
    return tmp_path


def test_a_mosaic_comes_out_in_colour(mosaic):
    assert files.read(mosaic / "raw" / "face.png").shape == (1, 64, 64)
    assert files.read(mosaic / "raw" / "truth" / "face.png").shape == (3, 64, 64)
    options = ("--noise", ".01", "--steps", STEPS, "--precision", "fp32", "--reference", "raw/truth")
    run("solve", "raw", "-o", "out", "--operator", "mosaic", *options)
    found, record = files.read(mosaic / "out" / "face.png"), json.loads((mosaic / "out" / "face.json").read_text())
    assert found.shape == (3, 64, 64) and record["shape"] == [3, 64, 64]
    assert files.read(mosaic / "out" / "face.reference.png").shape == (3, 64, 64)
    assert record["metrics"]["psnr"] > 25 and record["metrics"]["red_error"] < 0.1
    assert (mosaic / "out" / "report.html").exists()
    # The library's answer is the same.
    made = ipt.build("mosaic", steps=STEPS, precision="fp32")
    task = ImageTask(files.read(mosaic / "raw" / "face.png"), "face.png", noise=0.01)
    own = solve_picture(made, task)
    assert torch.allclose(own.picture.pixels.clamp(0, 1), found.pixels, atol=1e-4)
    quick = {"steps": STEPS, "noise": 0.01, "precision": "fp32"}
    restored = ipt.restore("raw/face.png", "mosaic", **quick)
    assert np.array_equal(restored.picture, found.levels())
    given = files.read(mosaic / "raw" / "face.png").pixels[0]
    restored = ipt.restore(given, "mosaic", name="face.png", **{**quick, "steps": 2})
    assert restored.picture.shape == (3, 64, 64) and restored.picture.dtype == given.dtype


def test_a_mosaic_stored_as_colour_is_one_measurement(mosaic):
    grey = files.read(mosaic / "raw" / "face.png")
    (mosaic / "stored").mkdir()
    files.write(mosaic / "stored" / "face.png", grey.with_pixels(grey.pixels.expand(3, -1, -1)))
    run(
        "solve",
        "stored",
        "-o",
        "out",
        "--operator",
        "mosaic",
        "--noise",
        ".01",
        "--steps",
        4,
        "--reference",
        "face.png",
    )
    record = json.loads((mosaic / "out" / "face.json").read_text())
    assert record["fit"]["solved_at"] == [1, 64, 64] and record["shape"] == [3, 64, 64]
    assert np.isfinite(record["metrics"]["psnr"])


def test_several_draws_of_a_mosaic_are_in_colour(mosaic):
    run("solve", "raw", "-o", "out", "--operator", "mosaic", "--noise", ".01", "--steps", 3, "--samples", 2)
    assert files.read(mosaic / "out" / "face.sample2.png").shape == (3, 64, 64)
