"""The output of a benchmark: rows -> summaries -> table.md with notes, results.csv, results.json, plots and sheet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ipt.bench.attempts import Bench
from ipt.bench.cases import Cases
from ipt.bench.comparisons import compared
from ipt.bench.perceptual import PerceptualScores
from ipt.bench.plots import contact_sheet_of, plots
from ipt.bench.protocol import BASELINES, SHIPPED, SolverSpec
from ipt.bench.rows import Row, Rows
from ipt.bench.scores import Column, by_section, columns
from ipt.bench.statistics import SolverSummary, Value, summary
from ipt.images import files
from ipt.images.atomic import atomic
from ipt.images.records import json_text, versions

_FAILURES = 10
"""The most failures that are listed below the table."""


@dataclass(frozen=True)
class Report:
    """The report of a run.

    Attributes:
        table: The tables and notes, in Markdown.
        document: The contents of results.json.
    """

    table: str
    document: Mapping[str, Any]


def report(bench: Bench, cases: Cases, keys: Sequence[str], log: Rows, out: Path, pictures: Path) -> Report:
    """Add LPIPS and FID to the rows of a run, and write its tables, results, plots and contact sheet.

    Args:
        bench: The protocol and options.
        cases: Of the protocol.
        keys: Identities of the run's rows.
        log: The rows.
        out: The folder of the benchmark.
        pictures: The folder of its pictures.
    """
    protocol = bench.protocol
    perceptual = PerceptualScores(log, pictures, bench.options.device)
    perceptual.add_lpips([log[key] for key in keys if log[key]["status"] == "done"])
    rows = compared(protocol, [log[key] for key in keys])
    summaries = []
    for spec in protocol.solvers:
        own = [row for row in rows if row["solver"] == spec.name]
        distance = perceptual.fid(spec.name, [row for row in own if row["status"] == "done"])
        summaries.append(summary(spec.name, own, {} if distance is None else {"fid": distance}))
    notes = [*_notes(bench, cases, rows), *dict.fromkeys(perceptual.reasons)]
    table = markdown(protocol.title, summaries, notes)
    document = json_text(
        {
            "protocol": protocol.plain(),
            "run": asdict(bench.options),
            "solvers": [asdict(one) for one in summaries],
            "notes": notes,
            "versions": versions(),
            "rows": [dict(row) for row in rows],
        }
    )
    texts = {"table.md": table, "results.csv": comma_separated(rows), "results.json": document}
    for name, text in {**texts, "plots.svg": plots(protocol.title, summaries, rows)}.items():
        with atomic(out / name) as file:
            file.write(text.encode())
    stems = list(dict.fromkeys(str(row["case"]) for row in rows))
    sheet = contact_sheet_of(pictures, stems, [spec.name for spec in protocol.solvers])
    if sheet is not None:
        files.write(out / "sheet.png", sheet)
    return Report(table, json.loads(document))


def markdown(title: str, summaries: Sequence[SolverSummary], notes: Sequence[str]) -> str:
    """The tables in Markdown, one per section of columns with cells "mean (low .. high)", and the notes."""
    found = columns(key for one in summaries for key in one.values)
    lines = [f"# {title}", ""]
    for section, group in by_section(found).items():
        head = ["solver", "cases", *(column.title for column in group)]
        shown = [s for s in summaries if any(column.key in s.values for column in group)]
        body = [[s.solver, _cases(s), *(_cell(column, s.values.get(column.key)) for column in group)] for s in shown]
        lines += [f"## {section}", "", *_padded([head, *body]), ""]
    return "\n".join([*lines, *(f"- {note}" for note in notes)]) + "\n"


def comma_separated(rows: Sequence[Row]) -> str:
    """The rows as CSV, one per case and solver; missing values are empty."""
    head = ["solver", "case", "picture", "status", "reason"]
    names = [column.key for column in columns(key for row in rows for key in row)]
    text = io.StringIO()
    writer = csv.DictWriter(text, [*head, *names], extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _cases(one: SolverSummary) -> str:
    return f"{one.done} ({one.failed} failed)" if one.failed else str(one.done)


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


def _notes(bench: Bench, cases: Cases, rows: Sequence[Row]) -> Iterator[str]:
    """Notes on how the figures were measured, what each solver was given, and what failed."""
    protocol, options = bench.protocol, bench.options
    drawn = f"noise {protocol.noise:g} on 0..1, seed {protocol.seed} for the data and" if protocol.noise else "seed"
    yield (
        f"Mean over cases (95 % bootstrap interval over cases). {len(cases)} cases of {protocol.size} x "
        f"{protocol.size} px, {drawn} {options.seed} for the solvers."
    )
    yield (
        "Registered: after moving the result, or the kernel, by the shift that a blind problem leaves free; MNC is by "
        "definition the largest over shifts. Errors are compared registered: with the measurement's, and with those of "
        "the same solver given the true parameters."
    )
    yield (
        f"Seconds: on {options.device}, {options.precision}; up to {bench.cases_together * options.samples} draws are "
        f"solved together and share them. Peak memory: of the process with all that is loaded (of a GPU, what was "
        f"allocated)."
    )
    yield "FID is biased upwards for few pictures: compare it only at equal numbers of cases."
    if options.tiled:
        yield "A prior of pictures of another size worked in overlapping tiles."
    if protocol.pictures == SHIPPED:
        yield (
            "The pictures are one face and its mirror image by turns, each time with another kernel: cases are not "
            "independent, and no test set."
        )
    if options.samples > 1:
        yield (
            f"{options.samples} samples a case; the result is their mean. Coverage: how often the truth lies in the "
            f"central 50 % and 90 % of the samples, entry by entry. Ranks: where truth and samples have one "
            f"distribution, F is about 1 and p evenly spread over 0..1 (simulation-based calibration, from 3 cases up)."
        )
    yield from map(_note_on, protocol.solvers)
    failed = [row for row in rows if row["status"] != "done"]
    for row in failed[:_FAILURES]:
        yield f"Failed: {row['solver']} {row['case']} ({row['picture']}): {row['reason']}"
    if len(failed) > _FAILURES:
        yield f"... and {len(failed) - _FAILURES} more failures, in results.csv."


def _note_on(spec: SolverSpec) -> str:
    """What a baseline does, or how a solver differs from the defaults of its rule."""
    if spec.baseline:
        best = "" if spec.baseline == "measurement" else ", tuned on the truth for the best PSNR of each picture"
        return f"{spec.name}: {BASELINES[spec.baseline]}{best}."
    given = [f"{'operator' if key == 'name' else key} {value}" for key, value in spec.operator.items()]
    given += [f"the true {name}" for name in spec.known]
    parts = [f"guidance {spec.guidance}"]
    parts += [f"{spec.steps} steps"] if spec.steps is not None else []
    parts += [f"given {' and '.join(given)}"] if given else []
    return f"{spec.name}: {', '.join(parts)}."
