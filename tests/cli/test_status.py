"""`ipt status`, as people and programs read it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ipt.cli.main import cli
from ipt.folder.log import Log
from ipt.folder.shards import parsed


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture
def out(tmp_path: Path) -> Path:
    with Log(tmp_path, parsed("1/2"), 3, 2) as first:
        first.write("batch", names=["a.png", "c.png"])
        first.write("done", name="a.png")
        first.write("failed", name="c.png", reason="cut short")
    return tmp_path


def test_what_is_said(out):
    with Log(out, parsed("2/2"), 3, 1) as second:
        second.write("batch", names=["b.png"])
        result = run("status", out)
    assert result.exit_code == 0 and result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0] == "1 of 3 done, 1 failed, 1 running, 0 missing"
    assert [line.split()[:2] for line in lines if "/" in line] == [["1/2", "ended"], ["2/2", "running"]]
    assert lines[-1] == "c.png: cut short"


def test_json(out):
    result = run("status", out, "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 0 and document["total"] == 3 and document["missing"] == 1
    assert document["failures"] == {"c.png": "cut short"} and document["shards"][0]["shard"] == "1/2"


@pytest.mark.parametrize("as_json", [True, False])
def test_watching_ends_when_nothing_is_missing(out, monkeypatch, as_json):
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        with Log(out, parsed("2/2"), 3, 1) as second:
            second.write("done", name="b.png")

    monkeypatch.setattr("ipt.cli.status.time.sleep", nap)
    result = run("status", out, "--watch", *(["--json"] if as_json else []))
    assert result.exit_code == 0 and naps == [2.0]
    if as_json:
        assert [json.loads(line)["done"] for line in result.stdout.splitlines()] == [1, 2]
    else:
        assert "2 of 3 done, 1 failed, 0 running, 0 missing" in result.stdout


def test_no_run_and_no_torch(out, tmp_path_factory):
    nothing = run("status", tmp_path_factory.mktemp("nothing"))
    assert nothing.exit_code == 1 and nothing.stdout == ""
    assert "has no logs of a run (log/*.jsonl); give the folder OUT of `ipt solve FOLDER -o OUT`" in nothing.stderr
    for word in (out / "run.yaml", out / "nowhere"):
        nothing = run("status", word)
        assert nothing.exit_code == 1 and f"{word} is no folder; give the folder OUT" in nothing.stderr
    probe = (
        "import sys\nfrom click.testing import CliRunner\nfrom ipt.cli.main import cli\n"
        f"assert CliRunner().invoke(cli, ['status', {str(out)!r}]).exit_code == 0\n"
        "assert not {'torch', 'numpy', 'skimage', 'PIL'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
