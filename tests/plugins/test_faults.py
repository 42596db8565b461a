"""What a plugin raises is reported with the file and line where it did."""

from __future__ import annotations

import json
import re

import pytest
import torch
from click.testing import CliRunner

from ipt.cli.main import cli
from ipt.images import files
from ipt.plugins.faults import located, place

PLUGIN = """
import torch
import ipt


class Veil(ipt.ParametricOperator):
    def __init__(self, fault: str = "none"):
        self.fault = fault

    def parameters(self, image_shape):
        return {"veil": ipt.ParameterSpec((1, 1, 1), "light added", range=(0, 1))}

    def forward(self, image, veil):
        if self.fault == "key":
            return {}["veil"]  # KeyError
        if self.fault == "value":
            raise ValueError("no such veil")  # ValueError
        if self.fault == "shape":
            return torch.cat([image, veil], 1)  # RuntimeError
        return image + veil


@ipt.hookimpl
def ipt_operators():
    yield ipt.Component("veil", Veil, "a veil")
"""


@pytest.mark.parametrize("fault", ["key", "value", "shape"])
def test_an_error_in_a_plugin_names_its_line(fault, install, tmp_path):
    install("veil-plugin", PLUGIN)
    line = next(number for number, text in enumerate(PLUGIN.splitlines(), 1) if f'"{fault}"' in text) + 1
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        files.write(tmp_path / "in" / f"{name}.png", torch.full((3, 16, 16), 0.5))
    solve = ["solve", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--operator", f"veil:{fault}"]
    done = CliRunner().invoke(cli, [*solve, "--prior", "gaussian", "--steps", "2", "--noise", ".01"])
    assert done.exit_code in (1, 3), done.output
    reason = json.loads((tmp_path / "out" / "a.failed.json").read_text())["reason"]
    assert re.search(rf"veil_plugin\.py, line {line}\)", reason), reason
    assert "cannot be differentiated" not in reason


def test_lines_of_ipt_and_of_libraries_are_no_plugins():
    for call in (lambda: torch.cat([torch.zeros(1), torch.zeros(1, 1)]), lambda: files.read("nowhere.png")):
        with pytest.raises((RuntimeError, ValueError)) as caught:
            call()
        # It is this test that has called them.
        assert f"{__file__}, line" in place(caught.value)
        assert located(caught.value).startswith(type(caught.value).__name__)
    assert place(ValueError("never raised")) == ""
