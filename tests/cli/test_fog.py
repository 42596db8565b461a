"""A blind problem from outside, by command line alone: fog with a transmission that varies, and its light's colour."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from ipt.cli.main import cli
from ipt.images import files
from ipt.solve.example import face

FOG = """
import ipt


class Fog(ipt.ParametricOperator, ipt.Linear):
    def parameters(self, image_shape):
        usual = "smooth:low=.05,high=1"
        draws = "smooth:low=.15,high=.95,length=[12,32],std=.35"
        shape = (1, *image_shape[1:])
        return {
            "transmission": ipt.ParameterSpec(
                shape, "share of light", range=(0.05, 1), prior=usual, generator=draws, noise_ratio=1.0
            ),
            "airlight": ipt.ParameterSpec((3, 1, 1), "colour", range=(0.5, 1), generator="uniform:low=.85,high=.95"),
        }

    def forward(self, image, transmission, airlight):
        return transmission * image + (1 - transmission) * airlight


@ipt.hookimpl
def ipt_operators():
    yield ipt.Component("fog", Fog, "a picture behind fog")
"""


def run(*arguments: object) -> None:
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output


def test_fog_is_found_and_lifted(install, tmp_path, monkeypatch):
    install("fog-bank", FOG)
    monkeypatch.chdir(tmp_path)
    files.write("face.png", files.Picture(face(64), depth=16))
    run("simulate", "face.png", "-o", "foggy", "--operator", "fog", "--depth", "16")
    solve = ("solve", "foggy", "-o", "out", "--operator", "fog", "--noise", ".01", "--steps", 30)
    run(*solve, "--reference", "foggy/truth", "--precision", "fp32")
    found, true = (np.load(tmp_path / place / "face.transmission.npy") for place in ("out", "foggy/truth"))
    assert found.shape == (1, 64, 64) and found.min() >= 0.05 and found.max() <= 1
    metrics = json.loads((tmp_path / "out" / "face.json").read_text())["metrics"]
    error = float(np.sqrt(np.square(found - true).mean()))
    # A map is not scored as a kernel.
    assert metrics["transmission_error"] == pytest.approx(error, rel=1e-4) and "transmission_mnc" not in metrics
    assert metrics["transmission_correlation"] == pytest.approx(
        np.corrcoef(found.ravel(), true.ravel())[0, 1], rel=1e-3
    )
    assert error < 0.6 * true.std() and metrics["psnr"] > metrics["psnr_input"] + 4
