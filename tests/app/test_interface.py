"""The page is built on what the reference has: whoever builds another has the same."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_it_uses_what_the_reference_names():
    pages = "\n".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs/reference").glob("*.md"))
    named = set(re.findall(r"^::: (\S+)", pages, re.MULTILINE))
    used = {
        (node.module, alias.name)
        for file in (ROOT / "ipt/app").glob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ipt.")
        for alias in node.names
    }
    outside = {(module, name) for module, name in used if not module.startswith("ipt.app")}
    assert outside
    assert [f"{module}.{name}" for module, name in outside if not {module, f"{module}.{name}"} & named] == []
