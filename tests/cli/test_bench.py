"""`ipt bench`, run as people run it, with analytic priors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ipt.cli.main import cli

QUICK = ("--prior", "gaussian", "--prior", "kernel=gaussian", "--steps", "2", "--count", "2")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def no_weights(monkeypatch, tmp_path):
    monkeypatch.setenv("IPT_METRIC_WEIGHTS", str(tmp_path / "no weights"))


def test_the_table_is_the_output(tmp_path):
    result = run("bench", "small", "-o", tmp_path / "out", *QUICK, "--solvers", "measurement, proximal")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == (tmp_path / "out" / "table.md").read_text()
    assert "| proximal " in result.stdout and "| dps " not in result.stdout
    assert "proximal 00001: done" in result.stderr and "table.md" in result.stderr
    again = run("bench", tmp_path / "out" / "protocol.yaml", "-o", tmp_path / "out")
    assert again.exit_code == 0 and "done" not in again.stderr, "the written protocol is the same, and all is done"


def test_json(tmp_path):
    result = run("bench", "small", "-o", tmp_path / "out", *QUICK, "--solvers", "measurement", "--json")
    document = json.loads(result.stdout)
    assert [row["case"] for row in document["rows"]] == ["00000", "00001"]
    assert document["solvers"][0]["values"]["psnr"]["count"] == 2
    assert document["protocol"]["noise"] == 0.01 and document["run"]["samples"] == 1


def test_export(tmp_path):
    result = run("bench", "paper-deblur-gaussian", "--export", tmp_path / "data", "--count", 2, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["cases"] == 2
    assert {path.name for path in (tmp_path / "data" / "truth").iterdir()} == {"00000.kernel.npy", "00001.kernel.npy"}


def test_some_failed(tmp_path):
    protocol = tmp_path / "mine.yaml"
    protocol.write_text("""
pictures: shipped
size: 16
count: 1
noise: .05
operator: {name: blur, kernel_size: 5, border: zero}
generators: {kernel: gaussian}
priors: {image: gaussian, kernel: gaussian}
solvers:
  wild: {guidance: dps, steps: 2, settings: {guidance.scale: 1000000.0}}
""")
    result = run("bench", protocol, "-o", tmp_path / "out")
    assert result.exit_code == 3 and "wild 00000: failed: the solve diverged" in result.stderr
    assert "Failed: wild 00000" in result.stdout


def test_a_prior_of_another_size(tmp_path):
    protocol = tmp_path / "mine.yaml"
    protocol.write_text("""
pictures: shipped
size: 80
count: 1
noise: .05
operator: {name: blur, kernel_size: 5, border: zero}
generators: {kernel: gaussian}
priors: {image: faces, kernel: gaussian}
solvers:
  quick: {guidance: proximal, steps: 1}
""")
    refused = run("bench", protocol, "-o", tmp_path / "out")
    assert refused.exit_code == 1 and "solver quick cannot be used at 80 x 80 px" in refused.stderr
    tiled = run("bench", protocol, "-o", tmp_path / "out", "--fit", "tile")
    assert tiled.exit_code == 0 and "overlapping tiles" in tiled.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["smal", "-o", "out"], 2, "no YAML file, 'smal'; did you mean 'small'"),
        (["small"], 2, "give one of -o OUT"),
        (["small", "-o", "out", "--export", "data"], 2, "give one of -o OUT"),
        (["small", "-o", "out", "--prior", "a", "--prior", "image=b"], 2, "'image' is given twice"),
        (["small", "-o", "out", "--prior", "kernel="], 2, "give text for 'kernel'"),
        (["small", "-o", "out", "--solvers", "dsp"], 2, "has no solver 'dsp'; did you mean 'dps'"),
        (["small", "-o", "out", "--images", "nowhere"], 1, "nowhere does not exist"),
        (["paper-deblur-motion", "-o", "out"], 1, "brings no pictures; name a folder of them (--images)"),
        (["small", "-o", "out", "--prior", "gausian"], 2, "no prior is called 'gausian'"),
        (["small", "-o", "out", "--count", "0"], 2, "--count"),
    ],
)
def test_mistakes(arguments, code, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("bench", *arguments)
    assert result.exit_code == code and said in result.stderr, result.stderr
    assert result.stdout == "" and not list(Path(tmp_path).iterdir())
