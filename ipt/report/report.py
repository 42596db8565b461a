"""OUT/report.html: one page that shows a whole run, made from the records and pictures in its folder.

The page is self-contained: pictures are data: URIs, and a content security policy forbids requests. For several
pictures it has a table, smaller pictures with links to the files, and the common options once. It is written piece by
piece, so that memory does not grow with the number of pictures.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ipt.core.errors import IptError
from ipt.images.atomic import atomic
from ipt.images.records import read_json
from ipt.report.embedding import EmbeddedImage, ResultFiles
from ipt.report.formatting import number
from ipt.report.judgement import Judgement, judgement
from ipt.report.record import OptionRow, Record, option_rows, residual_ratio
from ipt.report.sections import Picture, anchor, picture_section
from ipt.report.templating import template

_SIDES = ((4, 1200), (24, 640), (200, 240), (None, 160))
"""Longer side in pixels of the embedded pictures, for runs with fewer pictures than the first number."""
_MOST = 2000
"""The most pictures of a page, so that browsers open it quickly."""
_THUMBNAIL = 64
"""Longer side in pixels of the pictures in the table."""
_RATIO, _SECONDS = "residual / noise", "seconds"


@dataclass(frozen=True)
class Row:
    """A picture's line in the table. All else about it is read from its json when its section is written.

    Attributes:
        path: Of its a.json or a.failed.json.
        failed: Whether it failed.
        result: Name of the result's file; None: there is none.
        judgement: Its verdict; None: there is none.
        values: The numbers of the columns.
    """

    path: Path
    failed: bool
    result: str | None
    judgement: Judgement | None
    values: dict[str, float | None]

    @property
    def stem(self) -> str:
        """What the names of its files begin with."""
        return self.path.name.removesuffix(".json").removesuffix(".failed")

    @property
    def anchor(self) -> str:
        """The id of its section."""
        return anchor(self.stem)

    @property
    def thumbnail(self) -> EmbeddedImage | None:
        """The result, small."""
        return ResultFiles(self.path.parent, {"result": self.result}).embed("result", _THUMBNAIL, "")

    @property
    def reason(self) -> str:
        """Why it failed."""
        return str(read_json(self.path).get("reason") or "no reason was recorded")


@dataclass(frozen=True)
class Page:
    """The data of the template `report.html.jinja`; `pictures` are made one at a time while the page is written."""

    title: str
    subtitle: str
    columns: Sequence[str]
    done: Sequence[Row]
    failed: Sequence[Row]
    pictures: Iterable[Picture]
    common_options: Sequence[OptionRow]


def write_report(out_dir: str | os.PathLike[str], title: str = "Restored pictures") -> Path:
    """Write the page of a run.

    Args:
        out_dir: The folder of the results, with an a.json or a.failed.json for each picture; other .json files are
            ignored. Of more than 2000 pictures, those with the largest residual relative to the noise are shown.
        title: Of the page.

    Returns:
        The path of the page.

    Raises:
        IptError: There are no results, or the page cannot be written.
    """
    out = Path(out_dir)
    rows = [row for path in sorted(out.glob("*.json")) if (row := _row(path, read_json(path))) is not None]
    if not rows:
        raise IptError(f"{out} holds no results (no .json of a solved image); run `ipt solve` into it first")
    path = out / "report.html"
    with atomic(path) as file:
        for piece in template("report.html.jinja").generate(page=_page(out, rows, title)):
            file.write(piece.encode("utf-8", "backslashreplace"))
    return path


def _page(out: Path, rows: Sequence[Row], title: str) -> Page:
    done, failed = ([row for row in rows if row.failed is wanted] for wanted in (False, True))
    shown = done
    if len(done) > _MOST:
        worst = sorted(done, key=lambda row: -(row.values[_RATIO] or 0))[:_MOST]
        shown = sorted(worst, key=lambda row: row.stem)
    shown = sorted(shown, key=lambda row: row.judgement.worst_first if row.judgement else 1)
    side = next(side for most, side in _SIDES if most is None or len(shown) < most)
    common = read_json(shown[0].path) if len(shown) > 1 else None
    columns = list(rows[0].values) if common is not None else []
    return Page(
        title=title,
        subtitle=_subtitle(rows, len(done), len(shown)),
        columns=[name for name in columns if any(row.values[name] is not None for row in shown)],
        done=shown,
        failed=failed[:_MOST],
        pictures=(picture_section(out, row.stem, read_json(row.path), side, common) for row in shown),
        common_options=option_rows({**common, "seed": None}, {}) if common is not None else [],
    )


def _row(path: Path, record: Record) -> Row | None:
    """The row of an a.json or a.failed.json; None for other json files."""
    if record.get("status") not in ("done", "failed"):
        return None
    metrics = record.get("metrics") or {}
    values = {
        _RATIO: residual_ratio(record),
        _SECONDS: record.get("seconds"),
        "PSNR dB": metrics.get("psnr"),
        "SSIM": metrics.get("ssim"),
        "kernel MNC": metrics.get("kernel_mnc"),
    }
    result = (record.get("files") or {}).get("result")
    return Row(path, record["status"] == "failed", result, judgement(record), values)


def _subtitle(rows: Sequence[Row], done: int, shown: int) -> str:
    parts = [f"{done} picture{'' if done == 1 else 's'} solved"]
    if shown < done:
        parts.append(f"here the {shown} with the largest residual for their noise")
    doubtful = sum(row.judgement is not None and row.judgement.kind == "bad" for row in rows)
    parts += [f"{doubtful} to be looked at"] if doubtful else []
    parts += [f"{len(rows) - done} failed"] if len(rows) > done else []
    seconds = sum(row.values[_SECONDS] or 0 for row in rows)
    if seconds:
        parts.append(f"{number(seconds)} s")
    versions = read_json(next((row for row in rows if not row.failed), rows[0]).path).get("versions")
    if isinstance(versions, dict) and "ipt" in versions:
        parts.append(f"ipt {versions['ipt']}")
    return " \u00b7 ".join(parts)
