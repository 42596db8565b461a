"""What is installed: the package's data with its code, and nothing outside `ipt`."""

from __future__ import annotations

import tomllib
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

import ipt
from ipt.plugins.citations import SOFTWARE, YEAR

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
TEMPLATES = (
    "base.html.jinja", "pictures.css", "report.html.jinja", "picture.html.jinja", "macros.html.jinja",
    "curve.svg.jinja", "report.css", "report.js",
)  # fmt: skip


@pytest.mark.parametrize("prior", ["faces", "faces256", "kernel", "natural"])
def test_the_shipped_priors_are_installed_with_their_cards(prior):
    folder = files("ipt.priors") / "weights" / prior
    for name in ("config.json", "diffusion_pytorch_model.safetensors", "card.md"):
        assert (folder / name).is_file(), f"{folder / name} is not installed"
    card = (folder / "card.md").read_text(encoding="utf-8")
    assert "## Data" in card and "| sigma | mean squared error |" in card
    if prior in ("faces", "faces256", "natural"):
        assert "CelebA" in card and "non-commercial research" in card
    # What the Python Package Index takes, for the whole of a wheel, is 100 MB.
    assert len((folder / "diffusion_pytorch_model.safetensors").read_bytes()) < 45e6


@pytest.mark.parametrize(
    "name", ["py.typed", "bench/templates/plots.svg.jinja", *(f"report/templates/{name}" for name in TEMPLATES)]
)
def test_other_data_is_installed(name):
    assert (files("ipt") / name).is_file()


def test_only_ipt_is_installed():
    assert PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["ipt"]
    assert PROJECT["project"]["scripts"] == {"ipt": "ipt.cli.main:main"}


def test_the_source_distribution_can_be_tested():
    """Some tests read the documents and run .ci/run."""
    root = Path(__file__).parents[1]
    included = PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    pages = {"/CHANGELOG.md", "/CITATION.cff", "/CONTRIBUTING.md", "/LICENSE", "/README.md"}
    assert {"/ipt", "/tests", "/docs", "/.ci", "/.pre-commit-config.yaml", *pages} <= set(included)
    assert all((root / name.lstrip("/")).exists() for name in included)


def test_the_citation_is_one_and_the_same():
    root = Path(__file__).parents[1]
    cff = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    assert cff["version"] == ipt.__version__ and PROJECT["project"]["name"] in SOFTWARE
    assert str(cff["date-released"]).startswith(str(YEAR)) and f"title = {{{cff['title']}}}" in SOFTWARE
    assert f"```bibtex\n{SOFTWARE}\n```" in (root / "README.md").read_text(encoding="utf-8")


def test_the_version_is_the_package_s_own():
    assert PROJECT["project"]["dynamic"] == ["version"] and len(Version(ipt.__version__).release) == 3


@pytest.mark.parametrize("tool", ["mypy", "pre-commit", "ruff"])
def test_the_tools_for_development_have_a_range_of_versions(tool):
    (found,) = [
        found
        for text in PROJECT["project"]["optional-dependencies"]["dev"]
        if (found := Requirement(text)).name == tool
    ]
    assert {specifier.operator for specifier in found.specifier} == {">=", "<"}


def test_dependencies_have_lower_bounds_and_no_pins():
    for text in PROJECT["project"]["dependencies"]:
        specifiers = {specifier.operator for specifier in Requirement(text).specifier}
        assert specifiers == {">="}, text


def test_the_built_ins_need_no_entry_point():
    assert not [point for point in entry_points(group="ipt") if point.value.startswith("ipt.")]
