"""The table of a benchmark in Markdown, which a terminal shows as well: a part for each kind of number."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from ipt.bench.columns import Column, by_section, columns
from ipt.bench.summary import SolverSummary, Value


def markdown(title: str, summaries: Sequence[SolverSummary], notes: Sequence[str]) -> str:
    """Tables with padded columns: mean (low .. high), and the notes below."""
    found = columns(key for summary in summaries for key in summary.values)
    lines = [f"# {title}", ""]
    for section, group in by_section(found).items():
        head = ["solver", "cases", *(column.title for column in group)]
        shown = [s for s in summaries if any(column.key in s.values for column in group)]
        body = [[s.solver, _cases(s), *(_cell(column, s.values.get(column.key)) for column in group)] for s in shown]
        lines += [f"## {section}", "", *_padded([head, *body]), ""]
    return "\n".join([*lines, *(f"- {note}" for note in notes)]) + "\n"


def comma_separated(rows: Sequence[Mapping[str, Any]]) -> str:
    """One row a case and solver; columns that a row lacks are empty."""
    head = ["solver", "case", "picture", "status", "reason"]
    names = [column.key for column in columns(key for row in rows for key in row)]
    text = io.StringIO()
    writer = csv.DictWriter(text, [*head, *names], extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _cases(summary: SolverSummary) -> str:
    return f"{summary.done} ({summary.failed} failed)" if summary.failed else str(summary.done)


def _cell(column: Column, value: Value | None) -> str:
    if value is None:
        return ""
    if value.low is None or value.high is None:
        return column.written(value.mean)
    return f"{column.written(value.mean)} ({column.written(value.low)} .. {column.written(value.high)})"


def _padded(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = [f"| {' | '.join(cell.ljust(w) for cell, w in zip(row, widths, strict=True))} |" for row in rows]
    return [lines[0], f"|{'|'.join('-' * (width + 2) for width in widths)}|", *lines[1:]]
