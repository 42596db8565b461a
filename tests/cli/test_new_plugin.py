"""`ipt new-plugin`: what it writes installs, keeps its promises, is listed, and solves."""

from __future__ import annotations

import os
import re
import shlex
import site
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import ipt
from ipt.cli.main import cli
from ipt.cli.new_plugin import SUMMARIES, contents, normalised
from ipt.core.errors import IptError
from ipt.guidance.proximal import Proximal
from ipt.images import files
from ipt.plugins.component import KINDS
from ipt.plugins.discovery import discover
from ipt.plugins.documentation import documentation_of
from ipt.plugins.hookspecs import VERSION
from ipt.plugins.options import signature_of
from ipt.priors.analytic import BoxPrior, GaussianPrior

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")


def run(*arguments: str):
    return CliRunner().invoke(cli, ["new-plugin", *arguments])


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_one_installed_for_real(workplace, monkeypatch):
    assert run("ipt-haze").exit_code == 0
    monkeypatch.delenv("IPT_PLUGINS")
    venv.create("env", with_pip=False)
    scripts, packages = (sysconfig.get_path(name, "venv", {"base": "env"}) for name in ("scripts", "purelib"))
    # What is installed beside these tests is seen from the new environment, and is not changed by it.
    seen = [*site.getsitepackages(), str(ROOT)]
    Path(packages, "seen.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in seen))
    python = str(Path(scripts, "python"))

    def call(*arguments: str) -> str:
        done = subprocess.run([python, "-m", *arguments], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    call("pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "./ipt-haze")
    assert re.search(r"^ipt-haze +0\.1\.0 +loaded +0\.\d+$", call("ipt", "plugins"), re.MULTILINE)
    assert re.search(r"^operator +haze +a white haze of unknown strength +ipt-haze$", call("ipt", "list"), re.MULTILINE)
    assert re.search(r"\d+ passed", call("pytest", "-q", "-p", "no:cacheprovider", "ipt-haze"))
    files.write("face.png", torch.rand(3, 16, 16))
    call("ipt", "simulate", "face.png", "-o", "hazy", "--operator", "haze", "--generator", "strength=haze")
    call("ipt", "solve", "hazy", "-o", "out", "--operator", "haze", "--prior", "gaussian", "--steps", "3")
    strength = np.load("out/face.strength.npy")
    assert strength.shape == (1, 1, 1) and 0 <= strength <= 1


def test_those_of_every_kind_keep_their_promises_and_are_built(workplace, monkeypatch, install):
    from ipt.plugins.building import build_component

    install("lift-the-ban", "import ipt\n\n@ipt.hookimpl\ndef ipt_priors():\n    return []\n")
    for kind in KINDS:
        assert run(f"mine-{kind}", "--kind", kind).exit_code == 0
        folder = Path(f"mine-{kind}").absolute()
        monkeypatch.syspath_prepend(str(folder))
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        source = (folder / f"mine_{kind}" / "__init__.py").read_text()
        module = f"mine_{kind}_hooks"
        (entry,) = project["entry-points"]["ipt"].items()
        assert entry == (f"mine-{kind}", f"mine_{kind}")
        install(f"mine-{kind}", source, module=module, entry=module)
        assert type(build_component(kind, f"mine-{kind}")).__name__ == f"Mine{kind.capitalize()}{kind.capitalize()}"
        entry = discover().find(kind, f"mine-{kind}")
        found = documentation_of(entry.load())
        assert entry.component.summary == SUMMARIES[kind] and found.description
        assert set(found.options) == set(signature_of(entry.load()).names())
    faulty = {plugin.name: plugin.reason for plugin in discover().plugins if plugin.status != "loaded"}
    assert not faulty
    paths = os.pathsep.join([str(ROOT), *(str(Path(f"mine-{kind}").absolute()) for kind in KINDS)])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--import-mode=importlib", "-p", "no:cacheprovider", "."],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert done.returncode == 0 and "passed" in done.stdout, done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_the_commands_of_its_readme_run_in_its_folder(kind, workplace, monkeypatch, install):
    """From what was just made, with no file that the reader would have to bring."""
    assert run(f"own-{kind}", "--kind", kind).exit_code == 0
    monkeypatch.chdir(f"own-{kind}")
    monkeypatch.syspath_prepend(str(Path.cwd()))
    source, module = Path(f"own_{kind}", "__init__.py").read_text(), f"own_{kind}_hooks"
    install(f"own-{kind}", source, module=module, entry=module)
    monkeypatch.setenv("IPT_STEPS", "2")
    monkeypatch.setenv("IPT_EFFORT", "1")
    blocks = re.findall(r"```bash\n(.*?)```", Path("README.md").read_text(), re.DOTALL)
    commands = [shlex.split(line)[1:] for line in "".join(blocks).splitlines() if line.startswith("ipt ")]
    assert {"show", "solve"} <= {command[0] for command in commands}
    for command in commands:
        done = CliRunner().invoke(cli, command)
        assert done.exit_code == 0, f"ipt {' '.join(command)}: {done.output}"


def test_the_operator_is_a_blind_problem_that_can_be_solved(workplace, monkeypatch):
    assert run("ipt-haze").exit_code == 0
    monkeypatch.syspath_prepend("ipt-haze")
    from ipt_haze.operator import HazeOperator, Strengths

    clean = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    near = clean + 0.1 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    strength = Strengths().sample([5], (1, 1, 1))
    assert 0.2 <= strength.item() <= 0.7
    operator = HazeOperator()
    priors = {"image": GaussianPrior(2 * near[0] - 1, 0.2), "strength": BoxPrior()}
    solver = ipt.Solver(operator, priors, Proximal(), Proximal().schedule(20))
    solution = solver.solve(operator.forward(clean, strength=strength), noise=0.01)
    assert abs(solution.parameters["strength"].item() - strength.item()) < 0.02
    assert (solution.image - clean).square().mean() < 0.2 * (near - clean).square().mean()


def test_the_package_is_complete_and_light(workplace):
    done = run("Ipt.Cirrus__Clouds", "--kind", "prior")
    assert done.exit_code == 0
    written = {str(path.relative_to(workplace)) for path in workplace.rglob("*") if path.is_file()}
    assert set(done.stdout.split()) == written
    assert written == {f"ipt-cirrus-clouds/{name}" for name in contents("ipt-cirrus-clouds", "cirrus-clouds", "prior")}
    assert "ipt-cirrus-clouds/ipt_cirrus_clouds/py.typed" in written
    source = Path("ipt-cirrus-clouds/ipt_cirrus_clouds/__init__.py").read_text()
    assert f"IPT_HOOKS = {VERSION}\n" in source and "torch" not in source
    assert '"cirrus-clouds", "ipt_cirrus_clouds.prior:CirrusCloudsPrior"' in source
    assert not re.search(r"\$\w", "".join(Path(name).read_text() for name in written))
    assert "ipt show prior cirrus-clouds" in done.stderr


def test_it_is_what_the_page_shows():
    files_made = contents("ipt-haze", "haze", "operator")
    for marker, language, name in (
        ("haze operator", "python", "ipt_haze/operator.py"),
        ("haze hook", "python", "ipt_haze/__init__.py"),
        ("haze entry point", "toml", "pyproject.toml"),
    ):
        (shown,) = re.findall(rf"<!-- {marker} -->\n```{language}\n(.*?)```", PAGE, re.DOTALL)
        lines = [line for line in files_made[name].splitlines() if line.strip()]
        there = iter(lines)
        # In the same order, with nothing but comments and imports of the rest left out.
        assert all(line in there for line in shown.splitlines() if line.strip()), f"{name} does not have what is shown"


@pytest.mark.parametrize(
    ("name", "package"),
    [("haze", "haze"), ("Veil Lamp", "veil-lamp"), (" a.B__c-", "a-b-c"), ("ipt_haze2", "ipt-haze2")],
)
def test_names_are_normalised(name, package):
    assert normalised(name) == package


@pytest.mark.parametrize("name", ["", "-", "ipt", "ipt-", "9lives", "ipt-9", "50%", "Ünï", "a/b", "class", "../up"])
def test_what_is_no_name(name, workplace):
    with pytest.raises(IptError, match="cannot be the name of a package: use letters, digits and dashes"):
        normalised(name)
    assert run("--", name).exit_code == 1 and not list(workplace.iterdir())


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["json"], 1, "there is a Python module json already, which 'json' would hide; try ipt-json"),
        (["torch"], 1, "try ipt-torch"),
        (["ipt-blur"], 1, "operator 'blur' is offered by inverse-problem-toolkit; choose another name"),
        (["ipt-haze", "--kind", "lens"], 2, "'lens' is not one of 'operator', 'prior'"),
        ([], 2, "Missing argument 'NAME'"),
    ],
)
def test_mistakes(arguments, code, said, workplace):
    done = run(*arguments)
    assert (done.exit_code, done.stdout) == (code, "") and said in done.stderr
    assert not list(workplace.iterdir())


def test_nothing_is_overwritten(workplace):
    (workplace / "ipt-haze").mkdir()
    done = run("ipt_haze")
    assert done.exit_code == 1 and "ipt-haze is there already; choose another name, or move it away" in done.stderr
    assert not list((workplace / "ipt-haze").iterdir())
    assert run("ipt-blur", "--kind", "prior").exit_code == 0
