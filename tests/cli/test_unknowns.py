"""`ipt show operator`: what is unknown, in which unit and range, and what the operator can do."""

from __future__ import annotations

import json
import re

from click.testing import CliRunner

from ipt.cli.main import cli

PLUGIN = """
import ipt
from ipt.priors.analytic import GaussianPrior


class Sonar(ipt.ParametricOperator, ipt.Linear):
    def parameters(self, image_shape):
        return {
            "speed": ipt.ParameterSpec((1, 1, 1), "of sound", "m/s", range=(1400, 1600), normal=(1500, 20)),
            "gain": ipt.ParameterSpec((image_shape[0], 1, 1), "of each channel", prior=GaussianPrior()),
        }

    def forward(self, image, speed, gain):
        return image * gain * speed / 1500


class Array(Sonar):
    def parameters(self, image_shape):
        spec = ipt.ParameterSpec((1, 1, 1), "of the array", shared=True, discrete=True, noise_ratio=1.0, range=(0, 3))
        return {**super().parameters(image_shape), "phase": spec}


class Deep(Sonar):
    def __init__(self, depth: float):
        self.depth = depth


class Broken(Sonar):
    def parameters(self, image_shape):
        return {"speed": self.nothing}


@ipt.hookimpl
def ipt_operators():
    yield ipt.Component("sonar", Sonar, "echoes")
    yield ipt.Component("array", Array, "echoes of several")
    yield ipt.Component("deep", Deep, "echoes of a depth")
    yield ipt.Component("broken", Broken, "no echo")
"""


def show(*arguments: str) -> str:
    done = CliRunner().invoke(cli, ["show", "operator", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_unknowns_of_an_operator(install):
    install("sonar-plugin", PLUGIN)
    found = json.loads(show("sonar", "--json"))
    assert (found["measurement"], found["image"]) == ([3, 256, 256], [3, 256, 256])
    assert found["unknowns"] == {
        "speed": {
            "shape": [1, 1, 1],
            "meaning": "of sound",
            "unit": "m/s",
            "range": [1400, 1600],
            "prior": "gaussian:mean=1500.0,std=20.0,units=physical",
            "generator": "normal:mean=1500.0,std=20.0,low=1400.0,high=1600.0",
            "shared": False,
            "discrete": False,
            "noise_ratio": 0.125,
        },
        "gain": {
            "shape": [3, 1, 1],
            "meaning": "of each channel",
            "unit": "",
            "range": None,
            "prior": "GaussianPrior",
            "generator": "",
            "shared": False,
            "discrete": False,
            "noise_ratio": 0.125,
        },
    }
    assert list(found["abilities"]) == ["Linear"]
    text = show("sonar")
    assert re.search(r"^speed +\(1, 1, 1\) +m/s +1400 to 1600 +gaussian:mean=1500.* of sound$", text, re.MULTILINE)
    assert re.search(r"^gain +\(3, 1, 1\) +- +any +GaussianPrior +\(none\)", text, re.MULTILINE)


def test_what_differs_from_the_defaults_of_a_parameter(install):
    install("sonar-plugin", PLUGIN)
    text = show("array")
    assert re.search(r"^phase .* +shared, discrete, noise_ratio=1 +of the array$", text, re.MULTILINE)
    assert re.search(r"^speed .* +- +of sound$", text, re.MULTILINE) and "besides" in text
    assert json.loads(show("array", "--json"))["unknowns"]["phase"]["shared"] is True
    assert "besides" not in show("sonar")


def test_the_abilities_of_a_built_in():
    found = json.loads(show("blur", "--json"))
    assert found["image"] == [3, 320, 320] and found["unknowns"]["kernel"]["shape"] == [1, 64, 64]
    assert {"Linear", "ExactSteps", "Framed", "Coarsenable"} <= set(found["abilities"])
    assert re.search(r"an image \(3, 512, 512\), and\nnothing else", show("downscale"))


def test_an_operator_that_needs_options_says_which(install):
    install("sonar-plugin", PLUGIN)
    assert "Its unknowns depend on its options: operator 'deep' needs 'depth'" in show("deep")
    assert "has no attribute 'nothing'" in json.loads(show("broken", "--json"))["refusal"]
