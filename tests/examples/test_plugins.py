"""The example packages: installed into an environment of their own, they keep their promises, and their pages'
commands find the parameters as well as the pages say."""

from __future__ import annotations

import ast
import json
import os
import re
import site
import subprocess
import sysconfig
import venv
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from ipt.images import files
from ipt.solve.example import face

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "plugins"
PACKAGES = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())


class Case(NamedTuple):
    """What the page of a package promises of its parameters: shape of each, and the error that is allowed."""

    picture: str
    shape: tuple[int, ...]
    errors: dict[str, float]


CASES = {
    "ipt-defocus": Case("face", (1, 1, 1), {"radius": 0.25}),
    "ipt-downscale": Case("face", (2, 1, 1), {"width": 0.3}),
    "ipt-gamma": Case("face", (1, 1, 1), {"exponent": 0.02, "gain": 0.2}),
    "ipt-mri-motion": Case("grey", (1, 64, 1), {"shift": 0.3}),
}


class Place:
    """A fresh environment with the packages, and a folder with pictures."""

    def __init__(self, folder: Path):
        self.folder = folder
        venv.create(folder / "env", with_pip=False)
        variables = {"base": str(folder / "env")}
        scripts, packages = (sysconfig.get_path(name, "venv", variables) for name in ("scripts", "purelib"))
        # What is installed beside these tests is seen from the new environment, and is not changed by it.
        seen = [*site.getsitepackages(), str(ROOT)]
        Path(packages, "seen.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in seen))
        self.python = str(Path(scripts, "python"))
        install = ("pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index")
        self.call("-m", *install, *(str(EXAMPLES / name) for name in PACKAGES))
        clean = face(64)
        files.write(folder / "face.png", files.Picture(clean, depth=16))
        files.write(folder / "grey.png", files.Picture(clean.mean(0, keepdim=True), depth=16))

    def call(self, *arguments: str) -> str:
        environment = {name: value for name, value in os.environ.items() if name != "IPT_PLUGINS"}
        done = subprocess.run(
            [self.python, *arguments],
            capture_output=True,
            text=True,
            timeout=300,
            cwd=self.folder,
            env={**environment, "OMP_NUM_THREADS": "1"},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("examples"))


def test_every_package_has_a_case_and_its_place_on_the_page():
    # Of `ipt-problems` each module has a case of its own, in test_problems.py.
    assert sorted([*CASES, "ipt-problems"]) == PACKAGES
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| \[([^]]+)]", page, re.MULTILINE)) == sorted(CASES)


def test_they_are_loaded_and_listed_without_torch(place):
    plugins = place.call("-m", "ipt", "plugins")
    for name in PACKAGES:
        assert re.search(rf"^{name} +0\.1\.0 +loaded", plugins, re.MULTILINE), plugins
    listing = "import sys; from ipt.cli.main import cli; cli(['list', '--json'], standalone_mode=False)"
    found = place.call("-c", f"{listing}; assert 'torch' not in sys.modules")
    assert {"defocus", "gamma", "blind-downscale", "mri-motion", "hologram"} <= {
        item["name"] for item in json.loads(found)
    }


def test_they_keep_their_promises(place):
    tests = [str(EXAMPLES / name / "tests") for name in PACKAGES]
    said = place.call("-m", "pytest", "-q", "--import-mode=importlib", "-p", "no:cacheprovider", *tests)
    assert re.search(r"\d+ passed", said)


@pytest.mark.parametrize("package", CASES)
def test_its_pages_commands_find_the_parameters(place, package):
    case = CASES[package]
    page = (EXAMPLES / package / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^ipt (.+)$", page, re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["simulate", "solve"]
    simulate, solve = (command.split() for command in commands)
    place.call("-m", "ipt", *simulate)
    solve[solve.index("-o") + 1] = package
    place.call("-m", "ipt", *solve)
    out = place.folder / package
    record = json.loads((out / f"{case.picture}.json").read_text())
    assert record["verdict"].startswith("fits:")
    for name, allowed in case.errors.items():
        values = np.load(out / f"{case.picture}.{name}.npy")
        assert values.shape == case.shape and not (out / f"{case.picture}.{name}.png").exists()
        assert record["parameters"][name]["values"] == pytest.approx(values.flatten().tolist())
        truth = np.load(place.folder / simulate[3] / "truth" / f"{case.picture}.{name}.npy")
        assert record["metrics"][f"{name}_error"] == pytest.approx(np.sqrt(np.square(values - truth).mean()), rel=1e-4)
        assert record["metrics"][f"{name}_error"] < allowed
    report = (out / "report.html").read_text(encoding="utf-8")
    assert all(f"<dt>{name}</dt>" in report for name in case.errors)


def test_defocus_is_forty_lines():
    """Without blank lines, comments and docstrings."""
    count = 0
    for path in (EXAMPLES / "ipt-defocus" / "ipt_defocus").glob("*.py"):
        source = path.read_text(encoding="utf-8")
        said: set[int] = set()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                said |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        lines = enumerate(source.splitlines(), 1)
        count += sum(bool(line.strip()) and number not in said and line.strip()[0] != "#" for number, line in lines)
    assert 0 < count <= 40
