"""Words that people read: one for one thing, and the sides of a picture in one order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "ipt").rglob("*.py"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEMPLATES = sorted((ROOT / "ipt").rglob("*.txt"))
_HEIGHT_FIRST = re.compile(r"\{(height|high|down|tall|[^{}]*\[(0|-2)\]\}|[^{}]*\[1\]\} x \{[^{}]*\[2\])")


@pytest.mark.parametrize("path", [*SOURCES, *PAGES, *TEMPLATES], ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_broken_is_fixed(path):
    assert not re.search(r"\bmend", path.read_text(encoding="utf-8"), re.IGNORECASE)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_sides_are_width_x_height(path):
    """In texts for people, with spaces; an array's shape stands in parentheses, height first."""
    found = re.findall(r"\{[^{}]*\} ?x ?\{[^{}]*\}", path.read_text(encoding="utf-8"))
    assert not [text for text in found if " x " not in text or _HEIGHT_FIRST.match(text)]
