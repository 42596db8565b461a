"""`.ci/run`: lint, types and the README's test command in a fresh copy, and its exit code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CHECKS = ["ruff check", "ruff format --check", "mypy"]

# Makes tools that say how they were called, and fail where a file `broken` has that line.
SETUP = """\
mkdir -p .venv/bin
for tool in ruff mypy; do
    printf '#!/bin/sh\\nset -- %s "$@"; echo "$*"; ! grep -sqx "$*" broken\\n' $tool >.venv/bin/$tool
    chmod +x .venv/bin/$tool
done
echo "installed $1"
"""


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
    (place / "setup.sh").write_text(SETUP)
    return place


def ci(place: Path, tests: str) -> subprocess.CompletedProcess[str]:
    command = f"sh setup.sh '.[test]' && {tests}" if tests else ""
    page = f"words\n\n```bash\nfalse\n```\n\n<!-- test command -->\n```bash\n{command}\n```\n\n```bash\nfalse\n```\n"
    (place / "README.md").write_text(page)
    environment = {**os.environ, "VIRTUAL_ENV": "/nowhere", "PYTHONPATH": "/nowhere"}
    return subprocess.run(
        [place / ".ci" / "run"],
        env=environment,
        input="typed\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def said(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines that commands wrote, without those that name the commands."""
    return [line for line in done.stdout.splitlines() if not line.startswith("+ ")]


def test_ci_runs_the_test_command_of_the_readme():
    done = subprocess.run([ROOT / ".ci" / "run", "--print"], capture_output=True, text=True, timeout=60, check=True)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^<!-- test command -->\n```bash\n(.+?)^```$", readme, re.MULTILINE | re.DOTALL)
    assert done.stdout == command
    # What .ci/run takes apart: the environment first, the tests last.
    assert command.count("[test]") == 1 and command.rpartition("&&")[2].strip() == ".venv/bin/pytest"


@pytest.mark.parametrize("repository", [True, False], ids=["git", "no git"])
def test_ci_works_in_a_fresh_copy(checkout, repository):
    if repository:
        subprocess.run(["git", "init", "-q"], cwd=checkout, check=True)
    done = ci(checkout, "ls -A . .venv; echo CI=$CI ${VIRTUAL_ENV-no} ${PYTHONPATH-no} stdin=$(cat)")
    assert done.returncode == 0, done.stderr
    lines = said(done)
    assert {"a file.txt", "README.md", ".ci", "CI=true no no stdin="} <= set(lines)
    assert "left-over" not in lines and ".git" not in lines
    assert (checkout / ".venv" / "left-over").exists()


def test_the_checks_come_first_and_the_tests_have_the_last_word(checkout):
    done = ci(checkout, "echo 3 passed")
    assert done.returncode == 0, done.stderr
    assert said(done) == ["installed .[test,dev,docs]", *CHECKS, "installed .[test]", "3 passed"]


@pytest.mark.parametrize("check", CHECKS)
def test_ci_fails_where_a_check_fails(checkout, check):
    (checkout / "broken").write_text(f"{check}\n")
    done = ci(checkout, "echo 3 passed")
    assert done.returncode == 1
    assert said(done) == ["installed .[test,dev,docs]", *CHECKS], "every check runs, and no test"


@pytest.mark.parametrize(("tests", "code"), [("exit 7", 7), ("false && echo no", 1), ("false\ntrue", 1), ("", 1)])
def test_ci_fails_where_the_command_fails(checkout, tests, code):
    assert ci(checkout, tests).returncode == code


def test_a_commit_is_checked_in_the_same_way_with_nothing_from_the_network():
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert repository["repo"] == "local"
    hooks = repository["hooks"]
    assert all(hook["language"] == "system" for hook in hooks)
    # There, what can be mended is mended.
    assert [hook["entry"] for hook in hooks] == ["ruff check --fix", "ruff format", "mypy"]
    assert [hook["name"] for hook in hooks] == [check.removesuffix(" --check") for check in CHECKS]
