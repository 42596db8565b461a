"""The documentation site: it builds without a warning, has all that is public, and takes nothing from other servers.

It needs the extra `docs`, which .ci/run installs.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zlib
from html.parser import HTMLParser
from pathlib import Path

import pytest

import ipt
from ipt.cli.main import COMMANDS
from ipt.plugins.discovery import discover

pytest.importorskip("mkdocs")
pytest.importorskip("material")
pytest.importorskip("mkdocstrings_handlers.python")
pytest.importorskip("latex2mathml")

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as `mkdocs build --strict` makes it."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"add a new page to nav in mkdocs.yml, fix what is said:\n{done.stdout}{done.stderr}"
    return folder


class Loaded(HTMLParser):
    """What a page has the browser load."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "link" and found.get("rel") not in ("canonical", "next", "prev"):
            self.addresses.append(found.get("href") or "")
        elif tag != "a":
            self.addresses += [value or "" for name, value in found.items() if name in ("src", "srcset", "data")]


def test_nothing_is_loaded_from_elsewhere(site):
    loaded = Loaded()
    for page in site.rglob("*.html"):
        loaded.feed(page.read_text(encoding="utf-8"))
    assert len(loaded.addresses) > 100
    assert not [address for address in loaded.addresses if re.match(r"(https?:)?//", address)]
    # The theme would fetch a script for these.
    assert not [page.name for page in site.rglob("*.html") if re.search(r'class="[^"]*mermaid', page.read_text())]


def test_lists_and_tables_are_such(site):
    """Where a blank line before one is missing, its marks are left in a paragraph."""
    for page in site.rglob("*.html"):
        paragraphs = re.findall(r"<p>(.*?)</p>", page.read_text(encoding="utf-8"), re.DOTALL)
        assert not [text for text in paragraphs if re.search(r"\n- |\n\* |\|---|```", text)], page


def test_formulas_are_mathml(site):
    text = (site / "method.html").read_text(encoding="utf-8")
    formulas = re.findall(r"<math.*?</math>", text, re.DOTALL)
    assert len(formulas) > 40 and not [each for each in formulas if "\\" in each]
    assert "arithmatex" not in text and "$" not in re.sub(r"<(script|code).*?</\1>", "", text, flags=re.DOTALL)


def test_all_that_is_public_is_in_the_reference(site):
    inventory = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    listed = {line.split(" ")[0] for line in zlib.decompress(inventory).decode().splitlines()}
    factories = {str(entry.component.factory).replace(":", ".") for entry in discover().entries}
    # And what the guides name.
    guides = [ROOT / "README.md", *(page for page in DOCS.glob("*.md") if page.stem not in ("architecture", "method"))]
    named = {name for page in guides for name in re.findall(r"`(ipt\.[\w.]+)`", page.read_text(encoding="utf-8"))}
    missing = ({f"ipt.{name}" for name in ipt.__all__} | factories | named) - listed
    assert not missing, f"give each its ::: line on a page of docs/reference: {sorted(missing)}"


def test_the_command_line_has_its_page(site):
    text = (site / "reference" / "cli.html").read_text(encoding="utf-8")
    assert not [name for name in COMMANDS if f"Usage: ipt {name}" not in text]
