"""A parameter's range, its usual mean and deviation, or a prior of its own, are enough to simulate and to solve."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import ipt
from ipt.cli.main import cli
from ipt.core.errors import IptError, Misuse
from ipt.core.operator import ParameterSpec
from ipt.images import files
from ipt.operators.numbers import NormalNumbers, UniformNumbers
from ipt.plugins.building import build_component
from ipt.plugins.usual import usual_generator, usual_prior
from ipt.priors.analytic import BoxPrior, GaussianPrior

ONE = (1, 1, 1)
OWN = BoxPrior(2, 3)


@pytest.mark.parametrize(
    ("spec", "prior", "generator"),
    [
        (ParameterSpec(ONE, "m"), "", ""),
        (ParameterSpec(ONE, "m", range=(0.5, 4.5)), "box:low=0.5,high=4.5", "uniform:low=0.5,high=4.5"),
        (ParameterSpec(ONE, "m", range=(0, math.inf)), "", ""),
        (
            ParameterSpec(ONE, "m", range=(0, math.inf), normal=(2, 0.5)),
            "gaussian:mean=2.0,std=0.5,units=physical",
            "normal:mean=2.0,std=0.5,low=0.0",
        ),
        (
            ParameterSpec(ONE, "m", normal=(-1e-5, 3e8)),
            "gaussian:mean=-1e-05,std=300000000.0,units=physical",
            "normal:mean=-1e-05,std=300000000.0",
        ),
        (ParameterSpec(ONE, "m", prior="kernel", generator="motion", range=(0, 1)), "kernel", "motion"),
        (ParameterSpec(ONE, "m", prior=OWN, range=(2, 3)), OWN, "uniform:low=2.0,high=3.0"),
    ],
)
def test_what_follows_from_a_specification(spec, prior, generator):
    assert usual_prior(spec) == prior and usual_generator(spec) == generator


def test_what_follows_can_be_built():
    box = build_component("prior", "box:low=.5,high=4.5")
    assert isinstance(box, BoxPrior) and (box.low, box.high) == (0.5, 4.5)
    gaussian = build_component("prior", "gaussian:mean=-1e-05,std=300000000.0,units=physical")
    assert isinstance(gaussian, GaussianPrior)
    uniform = build_component("generator", "uniform:low=-2,high=3")
    assert isinstance(uniform, UniformNumbers) and (uniform.low, uniform.high) == (-2, 3)
    normal = build_component("generator", "normal:mean=2.0,std=0.5,low=0.0")
    assert isinstance(normal, NormalNumbers) and (normal.low, normal.high) == (0, math.inf)


RANGED = """
import ipt
import torch
from ipt.priors.analytic import BoxPrior

TINTS = "uniform:low=.9,high=1.1"


class Fade(ipt.ParametricOperator):
    def parameters(self, image_shape):
        return {
            "gain": ipt.ParameterSpec((1, 1, 1), "factor", range=(0.3, 0.6)),
            "veil": ipt.ParameterSpec((1, 1, 1), "light added", range=(0.0, 0.2), normal=(0.1, 0.02)),
            "tint": ipt.ParameterSpec((3, 1, 1), "of channels", prior=BoxPrior(0.9, 1.1), generator=TINTS),
        }

    def forward(self, image, gain, veil, tint):
        # Constraints are kept, so that forward may rely on them.
        assert 0.3 - 1e-6 <= float(gain.detach().min()) and float(gain.detach().max()) <= 0.6 + 1e-6
        return gain * tint * image + veil


@ipt.hookimpl
def ipt_operators():
    yield ipt.Component("fade", Fade, "a picture that has faded")
"""


def test_no_name_is_registered_for_a_range(install, tmp_path, monkeypatch):
    install("fading", RANGED)
    monkeypatch.chdir(tmp_path)
    numbers = torch.Generator().manual_seed(0)
    files.write("clean.png", files.Picture(torch.rand(3, 16, 16, generator=numbers), depth=16))
    runner = CliRunner()
    done = runner.invoke(cli, ["simulate", "clean.png", "-o", "faded", "--operator", "fade", "--depth", "16"])
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "faded" / "truth" / "clean.json").read_text())
    assert record["generators"]["gain"] == "uniform:low=0.3,high=0.6"
    solve = ["solve", "faded", "-o", "out", "--operator", "fade", "--prior", "gaussian", "--noise", ".01"]
    done = runner.invoke(cli, [*solve, "--steps", "8", "--prior", "gain=box:low=.35,high=.4"])
    assert done.exit_code == 0, done.output
    gain = np.load(tmp_path / "out" / "clean.gain.npy")
    assert gain.min() >= 0.35 - 1e-6 and gain.max() <= 0.4 + 1e-6
    cited = runner.invoke(cli, ["cite", "out"])
    assert cited.exit_code == 0, cited.output


def test_what_is_reported_lies_within_the_range(install):
    install("fading", RANGED)
    made = ipt.build("fade", prior="gaussian", steps=4)
    assert isinstance(made.solver.priors["gain"], BoxPrior) and isinstance(made.solver.priors["veil"], GaussianPrior)
    # Darker than any valid gain explains.
    found = made.solve(torch.full((1, 3, 8, 8), 0.0), 0.01).parameters
    assert 0.3 <= float(found["gain"]) <= 0.6 and 0 <= float(found["veil"]) <= 0.2
    with pytest.raises(IptError, match=r"known 'gain' has values outside 0\.3\.\.0\.6"):
        made.solve(torch.full((1, 3, 8, 8), 0.2), known={"gain": torch.full((1, 1, 1, 1), 0.8)})
    with pytest.raises(Misuse, match=r"nothing is set by tint\.\*: its operator brings its prior"):
        ipt.build("fade", prior="gaussian", settings={"tint.low": 0.5})


def test_a_parameter_with_a_range_keeps_the_contract(install):
    install("fading", RANGED)
    done = CliRunner().invoke(cli, ["check", "operator", "fade"])
    assert done.exit_code == 0, done.output
