"""Everything there is has its place on a page, and what the pages name is there."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import textwrap
from dataclasses import fields
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from packaging.version import Version

import ipt
from ipt.cli.main import COMMANDS, cli
from ipt.folder.options import ExecutionOptions
from ipt.guidance.proximal import Proximal
from ipt.operators.blur import Blur
from ipt.operators.blur.kernels import MixedKernels
from ipt.operators.turbulence import Turbulence
from ipt.plugins.building import build
from ipt.plugins.component import HOOKS
from ipt.plugins.discovery import discover
from ipt.priors.analytic import GaussianPrior
from ipt.sampling.schedules import Karras
from ipt.solve.options import SolveOptions
from ipt.training.options import TrainingOptions
from ipt.training.sources import GeneratorSource

ROOT = Path(__file__).parents[1]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [ROOT / "README.md", *DOCS, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
TEXT = "".join(page.read_text(encoding="utf-8") for page in PAGES)


def help_of(*arguments: str) -> str:
    result = CliRunner().invoke(cli, [*arguments, "--help"])
    assert result.exit_code == 0
    return " ".join(result.output.split())


def test_every_command_is_documented():
    missing = [name for name in COMMANDS if f"ipt {name}" not in TEXT]
    assert not missing, f"no page names ipt {missing}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_its_line_in_the_overview(name):
    command = cli.get_command(click.Context(cli), name)
    assert command is not None and command.help
    assert COMMANDS[name][1] in help_of()


def test_every_option_of_solve_has_help_text():
    command = cli.get_command(click.Context(cli), "solve")
    assert command is not None
    text = help_of("solve")
    for param in command.params:
        if isinstance(param, click.Option):
            assert param.help, f"{param.opts} has no help text"
            assert all(option in text for option in param.opts)
    # Every option of a run is one of the command line, too.
    names = {each.name for each in (*fields(SolveOptions), *fields(ExecutionOptions))}
    assert names - {"origins"} <= {param.name for param in command.params}


def test_every_hook_is_documented():
    text = (ROOT / "docs" / "hooks.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## `(ipt_\w+)`$", text, re.MULTILINE)
    assert sorted(headings) == sorted(HOOKS.values())


def test_every_built_in_component_is_named_on_a_page():
    missing = [entry.component.name for entry in discover().entries if f"`{entry.component.name}`" not in TEXT]
    assert not missing


def test_settings_of_the_pages_are_real(monkeypatch):
    for name in ("faces", "kernel"):
        monkeypatch.setattr(f"ipt.priors.shipped.{name}", lambda device="cpu", precision="fp32": GaussianPrior())
    settings = dict(re.findall(r"--set (operator\.[a-z_]+|guidance\.size)=([\w.-]+)", TEXT))
    assert settings.keys() == {"operator.kernel_size", "operator.kernels", "guidance.size", "operator.tiles"}
    build(operator="shake", settings={"operator.tiles": settings.pop("operator.tiles")})
    build("turbulence", guidance="dps", settings=settings)


def test_the_numbers_of_the_method_are_those_of_the_code():
    text = " ".join((ROOT / "docs" / "method.md").read_text(encoding="utf-8").split())
    rule = Proximal()
    schedule = rule.schedule()
    assert isinstance(schedule, Karras)
    span = f"from {schedule.sigma_max:g} to {schedule.sigma_min:g} in {schedule.steps} steps".replace(" 0.", " .")
    assert span in text, f"docs/method.md should say: {span}"
    specs = {"blur": Blur().parameters((3, 64, 64))["kernel"], **Turbulence().parameters((3, 64, 64))}
    blur, air, others = (f"{rule.noise_ratio(name, specs[name]):g}"[1:] for name in ("blur", "kernel", "tilt"))
    for ratio in (f"`parameter_noise` ({blur} for a kernel, {air} for one of `turbulence`", f"{others} for others)"):
        assert ratio in text, f"docs/method.md should say: {ratio}"
    assert rule.zeta == 1 and r"$\zeta = 1$" in text


def test_the_way_of_an_option_is_there():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    places = re.findall(r"^\| \d+ \| `(ipt/[\w/]+)\.py`: `([\w.]+)`", text, re.MULTILINE)
    assert len(places) > 8
    for file, name in places:
        kind, _, part = name.partition(".")
        found = getattr(importlib.import_module(file.replace("/", ".")), kind)
        assert not part or hasattr(found, part) or part in {each.name for each in fields(found)}, f"{file}: {name}"


def test_the_defaults_of_training_are_those_of_the_code():
    text = " ".join((ROOT / "docs" / "training.md").read_text(encoding="utf-8").split())
    command = cli.get_command(click.Context(cli), "train")
    assert command is not None
    defaults = {param.name: param.default for param in command.params}
    assert f"(default {defaults['images']:,})" in text and f"(default {defaults['width']})" in text
    assert f"`--device {defaults['device']}` is the default" in text
    assert f"(`training.save_every`, {TrainingOptions().save_every:,} examples)" in text
    assert ", ".join(map(str, GeneratorSource(MixedKernels()).sizes)).replace(", 64", " and 64") in text


# Taking part


def test_the_operator_of_contributing_keeps_the_contract(tmp_path):
    """The two files that the page shows, tested as it says."""
    blocks = re.findall(r"<!-- (operator(?: test)?) -->\n +```python\n(.*?)\n +```", CONTRIBUTING, re.DOTALL)
    code = {name: textwrap.dedent(text) for name, text in blocks}
    (tmp_path / "haze.py").write_text(code["operator"])
    (tmp_path / "test_haze.py").write_text(code["operator test"].replace("ipt.operators.haze", "haze"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--rootdir", tmp_path, "-c", os.devnull, tmp_path / "test_haze.py"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_architecture_names_every_folder():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    folders = {path.parent.name for path in (ROOT / "ipt").glob("*/__init__.py")}
    assert not [name for name in folders if f"`{name}`" not in page]


# Links, versions


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    files_named = [target.partition("#")[0] for target in targets if not re.match(r"https://|#", target)]
    missing = [target for target in files_named if not (page.parent / target).is_file()]
    assert not missing, f"{page.name} links to {missing}"


def test_modules_and_files_named_in_prose_exist():
    for path in re.findall(r"`(ipt/[\w/]+\.py|benchmarks/)`", TEXT):
        assert (ROOT / path).exists(), path


def test_the_changes_are_sorted_and_begin_with_this_version():
    """In the form of Keep a Changelog; what a version in development has is unreleased."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    first, *others = re.findall(r"^## (\S+)$", text, re.MULTILINE)
    version = Version(ipt.__version__)
    assert first == ("Unreleased" if version.is_devrelease else ipt.__version__)
    assert all(Version(other) < version for other in others)
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= {"Added", "Changed", "Fixed", "Removed"}
