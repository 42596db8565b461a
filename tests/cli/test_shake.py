"""`--operator shake`: data with the kernels that made them, a picture for every tile's, and several exposures."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from skimage import data

from ipt.cli.main import cli

SHAKE = ("--operator", "shake", "--set", "operator.kernel_size=9", "--set", "operator.tiles=2")
QUICK = (*SHAKE, "--prior", "gaussian", "--prior", "kernel=gaussian", "--steps", "2", "--effort", "1")


def drawn(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


def run(*arguments):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture
def clean(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(data.astronaut()[60:184, 163:287]).resize((40, 32)).save(path)
    return path


def test_what_is_simulated_is_solved_and_compared(clean, tmp_path):
    sim, out = tmp_path / "sim", tmp_path / "out"
    made = run("simulate", clean, "-o", sim, *SHAKE, "--set", "generator.rotation=8", "--set", "generator.extent=4")
    assert made.exit_code == 0, made.stderr
    kernels = np.load(sim / "truth" / "a.kernel.npy")
    assert kernels.shape == (4, 9, 9) and np.abs(kernels[0] - kernels[3]).max() > 0.01
    assert drawn(sim / "truth" / "a.kernel.png").shape[1] >= 768
    solved = run("solve", sim / "a.png", "-o", out, *QUICK, "--reference", sim / "truth")
    assert solved.exit_code == 0, solved.stderr
    record = json.loads((out / "a.json").read_text())
    assert 0 < record["metrics"]["kernel_mnc"] <= 1 and record["sizes"]["kernel"] == [4, 9, 9]
    # Over the picture: its sides are those of the result, and it is not black between the kernels.
    shown = drawn(out / "a.kernel.png")
    assert shown.shape[1] * 32 == shown.shape[0] * 40 and (shown.max(2) > 0).mean() > 0.9
    assert "a.kernel.png" in record["files"].values() and (out / "report.html").exists()


def test_known_kernels_are_of_all_tiles(clean, tmp_path):
    known = torch.full((4, 3, 3), 1 / 9).numpy()
    np.save(tmp_path / "k.npy", known)
    arguments = ("--operator", "shake", "--prior", "gaussian", "--steps", "2")
    solved = run("solve", clean, "-o", tmp_path / "out", *arguments, "--known", f"kernel={tmp_path / 'k.npy'}")
    assert solved.exit_code == 0, solved.stderr
    assert np.allclose(np.load(tmp_path / "out" / "a.kernel.npy"), known)
    np.save(tmp_path / "k.npy", known[:3])
    refused = run("solve", clean, "-o", tmp_path / "no", *arguments, "--known", f"kernel={tmp_path / 'k.npy'}")
    assert refused.exit_code == 1 and "3 known kernels are no square grid" in refused.stderr


def test_every_exposure_has_kernels_of_its_own(clean, tmp_path):
    sim, out = tmp_path / "sim", tmp_path / "out"
    assert run("simulate", clean, "-o", sim, *SHAKE, "--frames", 2).exit_code == 0
    solved = run("solve", sim / "a", "--frames", "-o", out, *QUICK, "--reference", sim / "truth")
    assert solved.exit_code == 0, solved.stderr
    found = np.load(out / "a.kernel.npy")
    assert found.shape == (2, 4, 9, 9) and np.allclose(found.sum((-2, -1)), 1, atol=1e-4)
    assert json.loads((out / "a.json").read_text())["metrics"]["kernel_mnc"] > 0
