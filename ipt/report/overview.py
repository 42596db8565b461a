"""What the report of several pictures has besides the pictures' own sections: the sortable table, and what each section
leaves to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ipt.report.sections import anchor, number, thumbnail, unexplained

_COLUMNS = {
    "residual / noise": unexplained,
    "seconds": lambda record: record.get("seconds"),
    "PSNR dB": lambda record: (record.get("metrics") or {}).get("psnr"),
    "SSIM": lambda record: (record.get("metrics") or {}).get("ssim"),
    "kernel MNC": lambda record: (record.get("metrics") or {}).get("kernel_mnc"),
}


@dataclass(frozen=True)
class Row:
    """What the table says of a picture. path: of its json. result: the file's name. values: by column."""

    stem: str
    path: Path
    failed: bool
    result: str | None
    values: Mapping[str, float | None]


def row_of(path: Path, record: Mapping[str, Any]) -> Row | None:
    """The row of an a.json or a.failed.json; None for a json that is not ours."""
    if record.get("status") not in ("done", "failed"):
        return None
    stem = path.name.removesuffix(".json").removesuffix(".failed")
    values = {name: take(record) for name, take in _COLUMNS.items()}
    return Row(stem, path, record["status"] == "failed", (record.get("files") or {}).get("result"), values)


def summary(out: Path, rows: Sequence[Row]) -> str:
    """A sortable table with a row an image; columns that no image fills are left out."""
    columns = [name for name in _COLUMNS if any(row.values[name] is not None for row in rows)]
    heads = ['<th scope="col"></th>', f'<th scope="col" aria-sort="ascending">{_button("picture")}</th>']
    heads += [f'<th scope="col" class="number">{_button(name)}</th>' for name in columns]
    lines = []
    for row in rows:
        name = escape(row.stem)
        cells = [f'<td data-value="">{thumbnail(out, {"files": {"result": row.result}})}</td>']
        cells.append(f'<td data-value="{name}"><a href="#{anchor(row.stem)}">{name}</a></td>')
        for column in columns:
            value = row.values[column]
            exact = "" if value is None else repr(float(value))
            cells.append(f'<td class="number" data-value="{exact}">{number(value)}</td>')
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return (
        '<section class="card"><h3>All pictures</h3>'
        '<p class="hint">Headings sort. Enter opens a picture, the arrow keys go up and down.</p>'
        '<div class="scroll tall"><table class="summary" aria-label="All pictures">'
        f"<thead><tr>{''.join(heads)}</tr></thead><tbody>{''.join(lines)}</tbody></table></div></section>"
    )


def own_options(record: Mapping[str, Any], common: Mapping[str, Any]) -> dict[str, Any]:
    """The record without what `common` says just so of options, versions and weights, and without samples."""
    own = dict(record)
    for group in ("options", "versions", "weights"):
        theirs = common.get(group) or {}
        own[group] = {name: value for name, value in (record.get(group) or {}).items() if theirs.get(name) != value}
    own["files"] = {role: name for role, name in (record.get("files") or {}).items() if not role.startswith("sample ")}
    return own


def links(out: Path, record: Mapping[str, Any]) -> str:
    """Links to a picture's files, which lie beside the page."""
    found = [
        f'<a href="{escape(quote(name))}">{escape(role)}</a>'
        for role, name in (record.get("files") or {}).items()
        if isinstance(name, str) and Path(name).name == name and (out / name).is_file()
    ]
    return f'<p class="files">Files beside this page: {", ".join(found)}</p>' if found else ""


def _button(name: str) -> str:
    return f'<button type="button">{escape(name)}</button>'
