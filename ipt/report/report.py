"""OUT/report.html: one page that shows a whole run, made from what lies in its folder.

Self-contained: pictures are data: URIs, and a policy in the page forbids any request, so it can be mailed or opened
from disk. Of several pictures it has a table, smaller pictures with links to the files, and the common options once. It
is written piece by piece, so that memory does not grow with what it shows.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from ipt.core.errors import IptError
from ipt.images.atomic import atomic
from ipt.report.overview import Row, links, own_options, row_of, summary
from ipt.report.sections import detail, failure, number, options_table

_SIDES = ((4, 1200), (24, 640), (200, 240), (None, 160))
"""The longer side of the pictures in the page, of fewer images than so many."""
_MOST = 2000
"""More images than these would make a page that no browser opens quickly."""


def write_report(out_dir: str | os.PathLike[str], title: str = "Restored pictures") -> Path:
    """Write the page for every a.json and a.failed.json in `out_dir`; the report's path.

    Of more than 2000 images it has those with the largest residual for their noise. Other .json files are left alone.
    IptError: nothing to report, or the page cannot be written.
    """
    out = Path(out_dir)
    rows = [row for path in sorted(out.glob("*.json")) if (row := row_of(path, _record(path))) is not None]
    if not rows:
        raise IptError(f"{out} holds no results (no .json of a solved image); run `ipt solve` into it first")
    path = out / "report.html"
    with atomic(path) as file:
        for piece in _page(out, rows, title):
            file.write(piece.encode())
    return path


def _page(out: Path, rows: Sequence[Row], title: str) -> Iterator[str]:
    done, failed = ([row for row in rows if row.failed is wanted] for wanted in (False, True))
    shown = done
    if len(done) > _MOST:
        worst = sorted(done, key=lambda row: -(row.values["residual / noise"] or 0))[:_MOST]
        shown = sorted(worst, key=lambda row: row.stem)
    template = files("ipt.report").joinpath("report.html").read_text(encoding="utf-8")
    # A value is never searched for places itself.
    for number_, piece in enumerate(template.split("{{")):
        name, rest = piece.split("}}", 1) if number_ else ("", piece)
        if name == "title":
            yield escape(title)
        elif name == "subtitle":
            yield escape(_subtitle(rows, len(done), len(shown)))
        elif name == "body":
            yield from _body(out, shown, failed[:_MOST])
        yield rest


def _body(out: Path, done: Sequence[Row], failed: Sequence[Row]) -> Iterator[str]:
    several = len(done) > 1
    if several:
        yield summary(out, done)
    for row in failed:
        yield failure(row.stem, _record(row.path))
    common = _record(done[0].path) if several else {}
    side = next(side for most, side in _SIDES if most is None or len(done) < most)
    for row in done:
        record = _record(row.path)
        if not several:
            yield detail(out, row.stem, record, side)
        else:
            yield detail(out, row.stem, own_options(record, common), side, links(out, record))
    if several and (table := options_table({**common, "seed": None})):
        yield f'<section class="card"><h3>Of all pictures</h3>{table}</section>'


def _record(path: Path) -> dict[str, Any]:
    """What a json says; nothing if it says nothing."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _subtitle(rows: Sequence[Row], done: int, shown: int) -> str:
    said = [f"{done} picture{'' if done == 1 else 's'} solved"]
    if shown < done:
        said.append(f"here the {shown} with the largest residual for their noise")
    if len(rows) > done:
        said.append(f"{len(rows) - done} failed")
    seconds = sum(row.values["seconds"] or 0 for row in rows)
    if seconds:
        said.append(f"{number(seconds)} s")
    versions = _record(next((row for row in rows if not row.failed), rows[0]).path).get("versions")
    if isinstance(versions, Mapping) and "ipt" in versions:
        said.append(f"ipt {versions['ipt']}")
    return " \u00b7 ".join(said)
