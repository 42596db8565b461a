"""`.ci/run`: the README's test command in a fresh copy, and its exit code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small repository with .ci/run, whose test command is to be written; one of its files is ignored by git."""
    place = tmp_path / "checkout"
    (place / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "run", place / ".ci" / "run")
    (place / ".venv").mkdir()
    (place / ".venv" / "left-over").write_text("")
    (place / ".gitignore").write_text("/.venv/\n")
    (place / "a file.txt").write_text("")
    return place


def ci(place: Path, command: str) -> subprocess.CompletedProcess[str]:
    page = f"words\n\n```bash\nfalse\n```\n\n<!-- test command -->\n```bash\n{command}\n```\n\n```bash\nfalse\n```\n"
    (place / "README.md").write_text(page)
    environment = {**os.environ, "VIRTUAL_ENV": "/nowhere", "PYTHONPATH": "/nowhere"}
    return subprocess.run(
        [place / ".ci" / "run"], env=environment, input="typed\n", capture_output=True, text=True, timeout=60
    )


def test_ci_runs_the_test_command_of_the_readme():
    done = subprocess.run([ROOT / ".ci" / "run", "--print"], capture_output=True, text=True, timeout=60)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^<!-- test command -->\n```bash\n(.+?)^```$", readme, re.MULTILINE | re.DOTALL)
    assert (done.returncode, done.stdout) == (0, command)


@pytest.mark.parametrize("repository", [True, False], ids=["git", "no git"])
def test_ci_works_in_a_fresh_copy(checkout, repository):
    if repository:
        subprocess.run(["git", "init", "-q"], cwd=checkout, check=True)
    done = ci(checkout, "ls -A\necho CI=$CI ${VIRTUAL_ENV-no} ${PYTHONPATH-no}\necho stdin=$(cat) && touch .venv")
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert {"a file.txt", "README.md", ".ci", "CI=true no no", "stdin="} <= set(said)
    assert ".venv" not in said and ".git" not in said
    assert (checkout / ".venv" / "left-over").exists()


@pytest.mark.parametrize(("command", "code"), [("exit 7", 7), ("false && echo no", 1), ("false\ntrue", 1), ("", 1)])
def test_ci_fails_where_the_command_fails(checkout, command, code):
    assert ci(checkout, command).returncode == code
