"""The scripts in `benchmarks/`, which take pictures or hours that no test has: what they import of ipt is there."""

from __future__ import annotations

import ast
import importlib
import re
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

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


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_says_how_it_is_run(script):
    text = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    assert script.name in ("common.py", "ffdnet.py") or f"python benchmarks/{script.name}" in text


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPTS[0].parent)
    return importlib.import_module("tables")


def test_the_tables_of_the_pages_are_those_of_the_files(tables):
    found = []
    for page in tables.PAGES:
        text = page.read_text(encoding="utf-8")
        assert tables.filled(text) == text, f"{page.name} is stale: python benchmarks/tables.py"
        found += re.findall("<!-- table (.*) -->", text)
        assert text.count("<!-- end of table -->") == text.count("<!-- table ")
    assert sorted(found) == sorted(tables.TABLES)


def test_a_table_follows_its_file(tables, monkeypatch):
    page = "<!-- table verdict -->\nold\n<!-- end of table -->\n"
    monkeypatch.setattr(
        tables, "result", lambda name: {"bins": [{"from": 0, "to": 0.2, "solves": 7, "said": 0.1, "right": 0}]}
    )
    assert "| 0 to .2 | 7 | .10 | .00 |\n" in tables.filled(page) and "old" not in tables.filled(page)
