"""What the site has besides the files of docs/: pages made from the code, pages that live elsewhere, formulas.

MkDocs calls the functions `on_...` (`hooks` in mkdocs.yml).
"""

from __future__ import annotations

import html
import json
import posixpath
import re
from pathlib import Path
from textwrap import indent
from typing import Any

import click
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from ipt.cli.main import COMMANDS, cli
from ipt.plugins.component import KINDS
from ipt.plugins.discovery import discover

ROOT = Path(__file__).parents[1]
ELSEWHERE = {
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    "examples/plugins/README.md": "example-plugins/index.md",
    **{
        str(page.relative_to(ROOT)): f"example-plugins/{page.parent.name}.md"
        for page in sorted((ROOT / "examples" / "plugins").glob("*/README.md"))
    },
    **{
        str(page.relative_to(ROOT)): f"notebooks/{page.stem}.md"
        for page in sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))
    },
}
"""Pages outside docs/, and their place on the site."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds what is not in docs/."""
    pages = {place: markdown_of(ROOT / source) for source, place in ELSEWHERE.items()}
    pages |= {"reference/components.md": components(), "reference/cli.md": command_line()}
    for place, text in pages.items():
        files.append(File.generated(config, place, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Links between pages of the repository become links between pages of the site, links to scripts the scripts."""
    place = page.file.src_uri
    markdown = re.sub(r"^\[[\w.]+\]\(\.\./(examples/gallery/\w+\.py)\), (.*)$", _script, markdown, flags=re.MULTILINE)
    source = next((source for source, there in ELSEWHERE.items() if there == place), f"docs/{place}")

    def moved(match: re.Match[str]) -> str:
        target, anchor, fragment = match[1].partition("#")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        path = f"{path}/README.md" if (ROOT / path).is_dir() else path
        there = ELSEWHERE.get(path, path.removeprefix("docs/"))
        return f"]({posixpath.relpath(there, posixpath.dirname(place) or '.')}{anchor}{fragment})"

    return re.sub(r"\]\((?!https?:|#)([^)\s]+)\)", moved, markdown)


def _script(match: re.Match[str]) -> str:
    code = (ROOT / match[1]).read_text(encoding="utf-8")
    code = code.partition('"""\n\n')[2]
    return f'??? example "The script ({match[2]})"\n\n' + indent(f"```python\n{code}```", "    ")


def on_page_content(html: str, **_: Any) -> str:
    """Formulas as MathML, which browsers show by themselves."""
    return re.sub(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', _formula, html, flags=re.DOTALL)


def _formula(match: re.Match[str]) -> str:
    return convert(html.unescape(match[2]).strip(), display="block" if match[1] == "div" else "inline")


def markdown_of(source: Path) -> str:
    """A page of Markdown as it is; of a notebook its text and code."""
    text = source.read_text(encoding="utf-8")
    if source.suffix != ".ipynb":
        return text
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(text)["cells"]]
    parts = [words if kind == "markdown" else f"```python\n{words}\n```" for kind, words in cells]
    return "\n\n".join([*parts, f"The notebook: `{source.relative_to(ROOT)}`."])


def components() -> str:
    """Every component that ships with ipt, with its class."""
    lines = [
        "# Components",
        "",
        "What can be named, on the command line and in `ipt.build`. `ipt show KIND NAME` prints the same.",
    ]
    for kind in KINDS:
        lines += ["", f"## {kind.capitalize()}", ""]
        entries = [entry.component for entry in discover().of_kind(kind)]
        lines += ["| name | what it is |", "|---|---|"]
        lines += [f"| `{entry.name}` | {entry.summary} |" for entry in entries]
        for target in dict.fromkeys(str(entry.factory).replace(":", ".") for entry in entries):
            lines += ["", f"::: {target}"]
    return "\n".join(lines)


def command_line() -> str:
    """The help of every command."""
    lines = ["# The command line", "", "What `ipt COMMAND --help` prints."]
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        with click.Context(command, info_name=f"ipt {name}", max_content_width=96, terminal_width=96) as context:
            lines += ["", f"## `ipt {name}`", "", "```text", command.get_help(context), "```"]
    return "\n".join(lines)
