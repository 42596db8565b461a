"""Exit codes mean the same for every command, and what the page about photographs says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from ipt.cli import errors
from ipt.cli.main import COMMANDS, cli
from ipt.images import files

PAGE = Path(__file__).parents[2] / "docs" / "photo.md"


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files.write("a.png", torch.rand(3, 16, 16))
    np.save("k.npy", np.ones((1, 3, 3)))
    Path("wrong.yaml").write_text("operatr: blur\n")
    Path("named.yaml").write_text("operator: blurr\n")


LIGHT = "--prior gaussian --prior kernel=box"


@pytest.mark.parametrize(
    "words",
    [
        "slove a.png",
        "solve a.png -o out --operator blurr",
        "solve a.png -o out --operator blurr+downscale",
        "solve a.png -o out --prior gausian",
        "solve a.png -o out --prior gaussian --prior kernle=box",
        "solve a.png -o out --prior gaussian --prior kernel=empirical --set kernel.generator=motoin",
        f"solve a.png -o out {LIGHT} --guidance proximl",
        f"solve a.png -o out {LIGHT} --guidance regularized --set guidance.rule=dsp",
        f"solve a.png -o out {LIGHT} --guidance regularized --set guidance.penalties.imgae=tv:.1 --steps 1",
        f"solve a.png -o out {LIGHT} --set guidance.zetta=1",
        f"solve a.png -o out {LIGHT} --engine lcoal",
        "solve a.png -o out --known kernle=k.npy --prior gaussian",
        "solve a.png -o out --config wrong.yaml",
        "solve a.png -o out --config named.yaml",
        "solve a.png -o out --precision fp61",
        "solve a.png -o out --stpes 3",
        "simulate a.png -o out --operator blurr",
        "simulate a.png -o out --generator motoin",
        "simulate a.png -o out --generator kernle=motion",
        "simulate a.png -o out --set generatr.extent=3",
        "bench smal -o out",
        "bench small -o out --solvers dsp",
        "bench small -o out --prior gausian",
        "weights get fhq",
        "train -o out --generator moton",
        "train -o out --generator motion --set network.wdth=3",
        "train -o out --generator motion --start-from fces",
        "list operatr",
        "show operator blurr",
        "show opertor blur",
        "cite blurr",
        "check blurr",
        "check operator blurr",
        "check operator blur --set operatr.kernel_size=3",
        "new-plugin ipt-haze --kind opertor",
    ],
)
def test_a_mistyped_name_is_usage(words, workplace):
    result = CliRunner().invoke(cli, words.split())
    assert result.exit_code == errors.USAGE, (result.output, result.stderr)
    assert "Error: " in result.stderr and result.stdout == ""


def test_a_mistyped_name_in_the_environment_is_usage(workplace, monkeypatch):
    monkeypatch.setenv("IPT_OPERATOR", "blurr")
    assert CliRunner().invoke(cli, ["solve", "a.png", "-o", "out"]).exit_code == errors.USAGE


@pytest.mark.parametrize("command", COMMANDS)
def test_a_mistyped_option_is_usage(command):
    assert CliRunner().invoke(cli, [command, "--hlep"]).exit_code == errors.USAGE


@pytest.mark.parametrize(
    "words",
    [
        "solve b.png -o out",
        "solve a.png -o out --prior weights/nowhere",
        f"solve a.png -o out {LIGHT} --set operator.kernel_size=33",
        f"solve a.png -o out {LIGHT} --device quantum",
        "solve a.png -o out --config nowhere.yaml",
        "status nowhere",
        "cite a.json",
    ],
)
def test_what_is_written_well_but_cannot_be_done_is_an_error(words, workplace):
    Path("a.json").write_text("[]")
    result = CliRunner().invoke(cli, words.split())
    assert result.exit_code == errors.ERROR and "Error: " in result.stderr, result.stderr


def test_the_page_about_photographs_has_every_code():
    table = PAGE.read_text(encoding="utf-8").partition("| exit code |")[2].partition("\n\n")[0]
    codes = {errors.DONE, errors.ERROR, errors.USAGE, errors.SOME_FAILED, errors.INTERRUPTED}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)} == codes
