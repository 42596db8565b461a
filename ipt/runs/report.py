"""OUT/report.html: one page that shows a whole run, made from what lies in its folder.

Self-contained: pictures are data: URIs, and a policy in the page forbids any request, so it can be mailed or opened
from disk.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from ipt.core.errors import IptError
from ipt.images.atomic import atomic
from ipt.runs.sections import anchor, detail, failure, number, thumbnail, unexplained

_MANY = 24
"""From so many images on, pictures are embedded smaller."""


def write_report(out_dir: str | os.PathLike[str], title: str = "Restored pictures") -> Path:
    """Write the page for every a.json and a.failed.json in `out_dir`; the report's path.

    Other .json files are left alone. IptError: nothing to report, or the page cannot be written.
    """
    out = Path(out_dir)
    records = _records(out)
    done = [(stem, record) for stem, record in records if record["status"] == "done"]
    failed = [(stem, record) for stem, record in records if record["status"] == "failed"]
    if not records:
        raise IptError(f"{out} holds no results (no .json of a solved image); run `ipt solve` into it first")
    side = 1200 if len(done) < 4 else 640 if len(done) < _MANY else 320
    parts = [_summary(out, done)] if len(done) > 1 else []
    parts += [failure(stem, record) for stem, record in failed]
    parts += [detail(out, stem, record, side) for stem, record in done]
    page = _filled(title=escape(title), subtitle=escape(_subtitle(done, failed)), body="\n".join(parts))
    path = out / "report.html"
    with atomic(path) as file:
        file.write(page.encode())
    return path


def _records(out: Path) -> list[tuple[str, dict[str, Any]]]:
    """(stem, record) of what was solved and what failed, by name; a json that is not ours is passed over."""
    found = []
    for path in sorted(out.glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(record, dict) and record.get("status") in ("done", "failed"):
            found.append((path.name.removesuffix(".json").removesuffix(".failed"), record))
    return found


def _filled(**values: str) -> str:
    """The template with its {{places}} filled; a value is never searched for places itself."""
    template = files("ipt.runs").joinpath("report.html").read_text(encoding="utf-8")
    pieces = template.split("{{")
    filled = [pieces[0]]
    for piece in pieces[1:]:
        name, rest = piece.split("}}", 1)
        filled += [values[name], rest]
    return "".join(filled)


def _subtitle(done: Sequence[tuple[str, Mapping[str, Any]]], failed: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    said = [f"{len(done)} picture{'' if len(done) == 1 else 's'} solved"]
    if failed:
        said.append(f"{len(failed)} failed")
    seconds = sum(record.get("seconds") or 0 for _, record in done)
    if seconds:
        said.append(f"{number(seconds)} s")
    versions = (done or failed)[0][1].get("versions")
    if isinstance(versions, Mapping) and "ipt" in versions:
        said.append(f"ipt {versions['ipt']}")
    return " \u00b7 ".join(said)


_COLUMNS = (
    ("residual / noise", unexplained),
    ("seconds", lambda record: record.get("seconds")),
    ("PSNR dB", lambda record: (record.get("metrics") or {}).get("psnr")),
    ("SSIM", lambda record: (record.get("metrics") or {}).get("ssim")),
    ("kernel MNC", lambda record: (record.get("metrics") or {}).get("kernel_mnc")),
)


def _button(name: str) -> str:
    return f'<button type="button">{escape(name)}</button>'


def _summary(out: Path, done: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """A sortable table with a row an image; columns that no image fills are left out."""
    columns = [(name, take) for name, take in _COLUMNS if any(take(record) is not None for _, record in done)]
    heads = ['<th scope="col"></th>', f'<th scope="col" aria-sort="ascending">{_button("picture")}</th>']
    heads += [f'<th scope="col" class="number">{_button(name)}</th>' for name, _ in columns]
    rows = []
    for stem, record in done:
        name = escape(stem)
        cells = [f'<td data-value="">{thumbnail(out, record)}</td>']
        cells.append(f'<td data-value="{name}"><a href="#{anchor(stem)}">{name}</a></td>')
        for _, take in columns:
            value = take(record)
            exact = "" if value is None else repr(float(value))
            cells.append(f'<td class="number" data-value="{exact}">{number(value)}</td>')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return (
        '<section class="card"><h3>All pictures</h3><div class="scroll"><table class="summary">'
        f"<thead><tr>{''.join(heads)}</tr></thead><tbody>{''.join(rows)}</tbody></table></div></section>"
    )
