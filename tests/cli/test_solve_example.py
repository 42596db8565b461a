"""`ipt solve` without INPUT and without -o: any operator, on a face that is at hand."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from huggingface_hub import constants

from ipt.cli.main import cli
from ipt.images import files
from ipt.priors.adm import ADMUNet
from ipt.priors.adm_config import ADMConfig
from ipt.priors.published import PUBLISHED

COMMAND = "solve --operator turbulence --prior ffhq"
QUICK = ("--prior", "gaussian", "--steps", 2, "--effort", 1, "--set", "operator.border=circular")

PLUGIN = """
import torch
import ipt
from ipt.priors.analytic import BoxPrior

class Veil(ipt.ParametricOperator):
    def __init__(self, generator: str = "veils"):
        self.generator = generator

    def parameters(self, image_shape):
        return {"veil": ipt.ParameterSpec((1, 1, 1), "share of light", "", "any-veil", generator=self.generator)}

    def forward(self, image, veil):
        return (1 - veil) * image + veil

class Veils(ipt.Generator):
    def sample(self, seeds, shape):
        return torch.full((len(seeds), *shape), 0.25)

@ipt.hookimpl
def ipt_operators():
    return [ipt.Component("veil", Veil, "a veil")]

@ipt.hookimpl
def ipt_generators():
    return [ipt.Component("veils", Veils, "a quarter")]

@ipt.hookimpl
def ipt_priors():
    return [ipt.Component("any-veil", lambda: BoxPrior(0.0, 0.9), "any share")]
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def solved(*arguments: object) -> dict:
    """The record of the example's result, which is in ipt-out."""
    result = run("solve", *arguments)
    assert result.exit_code == 0, result.stderr
    return json.loads(Path("ipt-out", "astronaut.json").read_text())


def test_the_example_of_the_default_operator(here):
    result = run("solve", *QUICK)
    assert result.exit_code == 0, result.stderr
    lines = result.stderr.splitlines()
    assert lines[0] == "Results go to ipt-out (-o names another folder)." and lines[-1] == "See ipt-out/report.html."
    assert "degraded here by blur (kernel from motion)" in lines[1]
    assert {path.name for path in here.iterdir()} == {"ipt-out"} and Path("ipt-out", "report.html").is_file()
    again = run("solve", *QUICK, "--json")
    assert json.loads(again.stdout)["out"] == "ipt-out" and json.loads(again.stdout)["images"][0]["status"] == "skipped"
    other = run("solve", *QUICK, "--seed", 1, "--json")
    assert json.loads(other.stdout)["out"] == "ipt-out-2" and "since ipt-out holds something else" in other.stderr
    assert "See ipt-out-2/report.html." in other.stderr


def test_the_exposures_of_turbulence():
    record = solved("--operator", "turbulence", *QUICK, "--frames", 8)
    assert record["frames"] == 8 and record["options"]["frames"]["value"] == 8
    assert {"psnr", "psnr_mean", "psnr_median", "kernel_mnc", "tilt_error"} <= set(record["metrics"])
    assert np.load("ipt-out/astronaut.tilt.npy").shape == (8, 2, 128, 128)
    # run.yaml runs again.
    again = run("solve", "--config", "ipt-out/run.yaml", "--json")
    assert json.loads(again.stdout)["images"][0]["status"] == "skipped", again.stderr
    one = run("solve", "--frames", *QUICK)
    assert one.exit_code == 2 and "as in --frames 8; give one, or give an INPUT" in one.stderr


@pytest.mark.parametrize(("operator", "side"), [("downscale:4", 32), ("blur+downscale", 64)])
def test_an_operator_that_changes_the_size(operator, side):
    quick = QUICK if "blur" in operator else QUICK[:-2]
    record = solved("--operator", operator, *quick)
    assert files.read("ipt-out/astronaut.measurement.png").shape == (3, side, side)
    assert (
        files.read("ipt-out/astronaut.png").shape
        == files.read("ipt-out/astronaut.reference.png").shape
        == (3, 128, 128)
    )
    assert record["metrics"]["psnr"] > 10 and ("kernel_mnc" in record["metrics"]) == ("blur" in operator)


def test_an_operator_of_a_plugin(install):
    install("ipt-veil", PLUGIN)
    record = solved("--operator", "veil", *QUICK[:-2])
    # By a quarter nearer to white, and the truth is known.
    measured, clean = (files.read(f"ipt-out/astronaut.{name}.png").pixels for name in ("measurement", "reference"))
    assert float((measured - (0.75 * clean + 0.25)).std()) == pytest.approx(0.01, rel=0.05)
    found = float(np.load("ipt-out/astronaut.veil.npy").item())
    assert record["metrics"]["veil_error"] == pytest.approx(abs(found - 0.25), abs=1e-6)


def test_a_parameter_without_a_generator_is_given(install, here):
    install("ipt-veil", PLUGIN)
    words = ("--operator", "veil", *QUICK[:-2], "--set", "operator.generator=")
    refused = run("solve", *words)
    assert refused.exit_code == 1 and refused.stderr.splitlines()[-1] == (
        "Error: the example cannot be degraded: 'veil' has no usual generator; give its value "
        "(--known veil=FILE.npy), or give an INPUT"
    )
    assert not list(here.iterdir())
    np.save("veil.npy", np.full((1, 1, 1), 0.5, np.float32))
    record = solved(*words, "--known", "veil=veil.npy")
    measured, clean = (files.read(f"ipt-out/astronaut.{name}.png").pixels for name in ("measurement", "reference"))
    assert float((measured - (0.5 * clean + 0.5)).std()) == pytest.approx(0.01, rel=0.05)
    assert record["calls"] == {"image": 2} and "veil_error" not in record["metrics"]


def test_a_known_parameter_degrades_and_the_others_are_drawn():
    np.save("kernel.npy", np.ones((1, 3, 3), np.float32) / 9)
    solved("--operator", "turbulence", *QUICK, "--known", "kernel=kernel.npy")
    assert np.load("ipt-out/astronaut.kernel.npy") == pytest.approx(np.ones((1, 3, 3)) / 9)
    assert np.load("ipt-out/astronaut.tilt.npy").shape == (2, 128, 128)


def test_a_mask_is_of_the_example_too():
    result = run("solve", *QUICK, "--mask", "nowhere.png")
    assert result.exit_code == 1 and "nowhere.png" in result.stderr


def test_the_command_without_network_and_weights(hub, here, monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    result = run(*COMMAND.split())
    assert result.exit_code == 1
    first, second = result.stderr.splitlines()
    assert first.startswith("Error: could not fetch diffusion_ffhq_10m.pt of huggingface.co/deepinv/diffunet")
    ways = "give a file of such weights: --prior ffhq:PATH, or take what comes with ipt: --prior faces256"
    assert second == f"connect and run again, {ways}"
    assert not list(here.iterdir()) and not (tmp_path / "hub").exists() and not hub.asked


@pytest.mark.parametrize("place", ["hub", "file"])
def test_the_command_with_weights_of_the_same_format(hub, here, monkeypatch, place):
    monkeypatch.setenv("IPT_STEPS", "2")
    torch.manual_seed(0)
    network = ADMUNet(ADMConfig(3, 32, (1, 1, 2, 2, 4, 4), attention=(4,)))
    weights = io.BytesIO()
    torch.save(network.state_dict(), weights)
    command = COMMAND
    if place == "hub":
        item = PUBLISHED["ffhq"]
        hub.files[f"/{item.repository}/resolve/main/{item.file}"] = weights.getvalue()
    else:
        Path("tiny.pt").write_bytes(weights.getvalue())
        command = command.replace("ffhq", "ffhq:tiny.pt")
    result = run(*command.split())
    assert result.exit_code == 0, result.stderr
    assert "a face of 256 x 256 px" in result.stderr and "See ipt-out/report.html." in result.stderr
    record = json.loads(Path("ipt-out", "astronaut.json").read_text())
    assert record["shape"] == [3, 256, 256] and record["sizes"]["tilt"] == [2, 272, 272]
    steps = sum(steps for *_, steps in record["solved_sizes"])
    assert record["calls"]["image"] == steps * len(record["draws"] or [1])
    assert {"psnr", "psnr_input", "kernel_mnc", "tilt_error"} <= set(record["metrics"])
    fetched = [path for method, path, _ in hub.asked if method == "GET" and path.endswith(".pt")]
    assert len(fetched) == (place == "hub")


def test_help_tells_all_of_it():
    text = " ".join(run("solve", "--help").stdout.split())
    assert (
        "-o, --out OUT Folder for the results. [default: (ipt-out, or the first of" in text and "--frames [N]" in text
    )
    assert "degraded by the operator, with parameters from its generators or from --known" in text
