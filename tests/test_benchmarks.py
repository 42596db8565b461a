"""The scripts in `benchmarks/`, which take pictures or hours that no test has: what they import of ipt is there."""

from __future__ import annotations

import ast
import importlib
import re
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

import ipt

SCRIPTS = sorted((Path(__file__).parents[1] / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_what_a_script_imports_is_there(script):
    tree = ast.parse(script.read_text(encoding="utf-8"))
    wanted = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module and not node.level]
    for node in wanted:
        if node.module.partition(".")[0] == "ipt":
            module = importlib.import_module(node.module)
            names = [name.name for name in node.names]
            missing = [name for name in names if not hasattr(module, name) and not find_spec(f"{node.module}.{name}")]
            assert not missing, f"{script.name}: {node.module} has no {missing}"


def is_build(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "ipt.build"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_what_a_script_asks_of_a_solver_is_there(script):
    nodes = list(ast.walk(ast.parse(script.read_text(encoding="utf-8"))))
    built = {ast.unparse(node.targets[0]) for node in nodes if isinstance(node, ast.Assign) and is_build(node.value)}
    asked = [node for node in nodes if isinstance(node, ast.Attribute)]
    asked = [node for node in asked if is_build(node.value) or ast.unparse(node.value) in built]
    there = {*dir(ipt.Multiscale), *(field.name for field in fields(ipt.Multiscale))}
    assert {node.attr for node in asked} <= there


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_says_how_it_is_run(script):
    text = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    assert script.name in ("common.py", "ffdnet.py") or f"python benchmarks/{script.name}" in text


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPTS[0].parent)
    return importlib.import_module("tables")


def test_the_tables_and_figures_of_the_pages_are_those_of_the_files(tables):
    found, named = [], []
    for page in tables.PAGES:
        text = page.read_text(encoding="utf-8")
        assert tables.filled(text) == text, f"{page.name} is stale: python benchmarks/tables.py"
        found += re.findall("<!-- table (.*) -->", text)
        named += [mark[2].partition(".")[0] for mark in tables.FIGURE.findall(text)]
        assert text.count("<!-- end of table -->") == text.count("<!-- table ")
    assert sorted(found) == sorted(tables.TABLES)
    assert set(named) == {name.partition(".")[0] for name in tables.FIGURES}, "a group that no page has"


def test_a_table_follows_its_file(tables, monkeypatch):
    page = "<!-- table verdict -->\nold\n<!-- end of table -->\n"
    monkeypatch.setattr(
        tables, "result", lambda name: {"bins": [{"from": 0, "to": 0.2, "solves": 7, "said": 0.1, "right": 0}]}
    )
    assert "| 0 to .2 | 7 | .10 | .00 |\n" in tables.filled(page) and "old" not in tables.filled(page)


def test_a_figure_follows_its_file(tables, monkeypatch):
    figures = importlib.import_module("figures")
    rows = [{"psnr": 20, "seconds": 1}, {"psnr": 21, "seconds": 2}]
    monkeypatch.setattr(figures, "result", lambda name: {"rows": rows})
    monkeypatch.setattr(tables, "FIGURES", {f"coarse to fine.{k}": v for k, v in figures.coarse_to_fine().items()})
    assert tables.filled("it has 1.5<!-- coarse to fine.psnr --> dB") == "it has 20.5<!-- coarse to fine.psnr --> dB"


def test_a_recorded_figure_says_how_it_was_measured(tables):
    for name, entry in tables.result("recorded").items():
        assert set(entry) == {"of", "command", "commit", "figures"}, name
        assert re.fullmatch("[0-9a-f]{7}", entry["commit"]) and entry["command"] and entry["figures"], name


NO_MEASUREMENTS = {
    "docs/benchmarks.md": (
        "worse than measured by .2 dB",
        "more than .2 dB below",
        "95 % percentile bootstrap",
        "95 % bootstrap interval",
        "central 50 % and 90 %",
        "can be seen of 90 %",
        "more than .3 dB",
    ),
    "docs/files.md": ("noise .005",),
    "docs/measurements.md": ("about 1 times the noise",),
    "docs/method.md": (
        "counted 3.3 times",
        "from 3 to 6 times",
        "more than 1.5 times the noise",
        "at most 3 times, the residual",
        "turns of .5 to 1.5 degrees",
        "a noise of .002",
        "a correlation of .65",
        "more than 1.3 times what it is by chance",
        "by .0015 or .003 rad a pixel of shift",
    ),
    "docs/photo.md": ("(357 MB", "(2.2 GB)"),
    "docs/verdict.md": (
        "MNC of .8",
        "a correlation below .4",
        "right with .3 at most",
        "more than 3.3 times the noise",
        "Above 3 times the noise level",
        "more than 1.3 times what differs by chance",
    ),
    "examples/plugins/ipt-mri-motion/README.md": ("moves of .25 px (shifts of rms .7 px), noise .01", "(.02 of"),
    "ipt/priors/weights/kernel/card.md": (
        "30 % the shake",
        "20 % smooth",
        "15 % lines",
        "6 % boxes",
        "17 % Gaussian",
        "12 % defocus",
    ),
    "ipt/priors/weights/smooth/card.md": ("(.04, .1 or .25 of the range)", "deviation .15 of the range"),
}
"""What looks like a measured figure and is none: options, protocols, definitions, sizes of downloads."""

UNIT = r"(?:dB|m?s|min|seconds?|minutes?|hours?|[KMG]i?B|%|percent|times)"
WITH_UNIT = re.compile(rf"(?<![\w.,/-])[\d.,]*\d -?{UNIT}(?!\w)")
DECIMAL = re.compile(r"(?<![\w.,/`-])\d*\.\d+(?!\w|\.[\d.])")
SCORED = re.compile(
    r"\b(?:dB|PSNR|MNC|SSIM|FID|areas?|correlation|rms|root mean square|at worst|typically|in the mean)\b"
)


def unmarked(text: str, figure: re.Pattern[str]) -> list[str]:
    """Figures of a page that look measured and are followed by no mark."""
    code, table, formula = r"(?ms)^( *)```.*?^\1```|`[^`\n]*`", r"(?s)<!-- table .*?<!-- end of table -->", r"\$[^$]*\$"
    for passage in (code, table, figure.pattern, formula, r"(?ms)^## Validation\n.*?(?=^## |\Z)"):
        text = re.sub(passage, "", text)
    rows = [line for line in text.splitlines() if len(re.findall(r"\| *\d*\.\d+ *(?=\|)", line)) > 1]
    scored = rows + [part for part in re.split(r"\n\n+|(?<=[.:;]) |(?<=\|)\n", text) if SCORED.search(part)]
    return WITH_UNIT.findall(text) + [number for part in scored for number in DECIMAL.findall(part)]


def test_measured_figures_in_sentences_are_made_from_files(tables):
    # The gallery is written by docs/make_gallery.py, "Validation" of a card by `ipt train`.
    for page in tables.PAGES:
        name, text = str(page.relative_to(tables.ROOT)), page.read_text(encoding="utf-8")
        for phrase in NO_MEASUREMENTS.get(name, ()):
            assert phrase in text, f"{name} no longer has {phrase!r}"
            text = text.replace(phrase, "")
        found = [] if page.name == "gallery.md" else unmarked(text, tables.FIGURE)
        assert not found, f"{name}: {found} need a mark (benchmarks/figures.py), or are no measurements"


@pytest.mark.parametrize("sentence", ["It has 29.4 dB.", "It takes 12 s.", "An MNC of .93.", "| motion | .92 | .85 |"])
def test_a_figure_without_a_mark_is_found(tables, sentence):
    assert unmarked(f"# Page\n\n{sentence}\n", tables.FIGURE)
    marked = re.sub(r"([\d.]*\d)", r"\1<!-- faces.psnr -->", sentence)
    assert not unmarked(f"# Page\n\n{marked}\n", tables.FIGURE)
