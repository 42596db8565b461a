"""On the command line: a prior for every unknown, parameters that are known, rules in rules, operators in a chain."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner

from ipt.cli.main import cli
from ipt.images import files
from ipt.operators.blur.kernels import MotionKernels


def run(*arguments: str):
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files.write("a.png", torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0)))
    kernels = MotionKernels().sample(range(6), (1, 8, 8)).numpy()
    np.savez("kernels.npz", kernels)
    np.save("k.npy", kernels[0])
    return tmp_path


def solve(*arguments: str) -> None:
    run("solve", "a.png", "-o", "out", "--steps", "1", *arguments)


def test_a_prior_for_every_unknown(workplace):
    solve("--prior", "kernel=empirical:kernels.npz", "--prior", "image=gaussian")
    saved = yaml.safe_load((workplace / "out" / "run.yaml").read_text())
    assert saved["prior"] == {"image": "gaussian", "kernel": f"empirical:{workplace / 'kernels.npz'}"}
    assert np.load("out/a.kernel.npy").shape == (1, 8, 8)


def test_the_prior_of_the_image_may_be_named(workplace):
    solve("--prior", "image=gaussian", "--prior", "kernel=box")
    named = np.load("out/a.kernel.npy")
    run("solve", "a.png", "-o", "again", "--steps", "1", "--prior", "gaussian", "--prior", "kernel=box")
    assert np.array_equal(named, np.load("again/a.kernel.npy"))


def test_a_known_parameter_is_kept(workplace):
    solve("--prior", "gaussian", "--known", "kernel=k.npy")
    assert np.allclose(np.load("out/a.kernel.npy"), np.load("k.npy"), atol=1e-6)
    assert list(json.loads((workplace / "out" / "a.json").read_text())["calls"]) == ["image"]


def test_a_rule_in_a_rule(workplace):
    rule = ["--set", "guidance.rule=dps", "--set", "guidance.rule.scale=.5"]
    common = ["--prior", "gaussian", "--prior", "kernel=box", "--steps", "1"]
    run("solve", "a.png", "-o", "out", "--guidance", "regularized", *rule, *common)
    run("solve", "a.png", "-o", "plain", "--guidance", "dps", "--set", "guidance.scale=.5", *common)
    assert np.array_equal(np.load("out/a.kernel.npy"), np.load("plain/a.kernel.npy"))


def test_operators_in_a_chain(workplace):
    chain = ["--operator", "blur+blur", "--border", "circular", "--set", "operator.kernel_size=8"]
    solve(*chain, "--set", "operator.blur2.kernel_size=3", "--prior", "gaussian", "--prior", "kernel2=box")
    assert np.load("out/a.kernel.npy").shape == (1, 8, 8)
    assert np.load("out/a.kernel2.npy").shape == (1, 3, 3)


def test_a_chain_that_changes_the_size_is_simulated(workplace):
    parts = ["--operator", "blur+downscale:2", "--set", "operator.downscale.method=sample"]
    run("simulate", "a.png", "-o", "small", *parts, "--generator", "motion")
    assert files.read("small/a.png").shape == (3, 8, 8)
