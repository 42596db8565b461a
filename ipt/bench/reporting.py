"""What is told of a benchmark: LPIPS and FID from the written pictures, the table with its notes, plots and sheet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ipt.bench import perceptual
from ipt.bench.attempts import Bench
from ipt.bench.cases import Cases
from ipt.bench.notes import notes_on
from ipt.bench.plots import plots
from ipt.bench.rows import Rows
from ipt.bench.saving import save_text
from ipt.bench.sheet import sheet
from ipt.bench.summary import summarised
from ipt.bench.table import comma_separated, markdown
from ipt.images import files
from ipt.images.records import identity, json_text, versions

_INCEPTION_BATCH = 16


@dataclass(frozen=True)
class Report:
    """table: in Markdown. document: what results.json holds."""

    table: str
    document: Mapping[str, Any]


def report(
    bench: Bench, cases: Cases, rows: Sequence[Mapping[str, Any]], log: Rows, out: Path, pictures: Path
) -> Report:
    """Write table.md, results.csv, results.json, plots.svg and sheet.png for the rows of a run."""
    protocol = bench.protocol
    measured = _Measured(log, pictures, bench.device)
    measured.lpips([row for row in rows if row["status"] == "done"])
    rows = [log[str(row["identity"])] for row in rows]
    summaries = []
    for plan in protocol.solvers:
        own = [row for row in rows if row["solver"] == plan.name]
        distance = measured.fid(plan.name, [row for row in own if row["status"] == "done"])
        summaries.append(summarised(plan.name, own, {} if distance is None else {"fid": distance}))
    notes = [*notes_on(bench, cases, rows), *dict.fromkeys(measured.reasons)]
    title = f"{protocol.name}: {protocol.summary}" if protocol.summary else protocol.name
    table = markdown(title, summaries, notes)
    text = json_text(
        {
            "protocol": protocol.plain(),
            "run": {key: value for key, value in asdict(bench).items() if key != "protocol"},
            "solvers": [asdict(summary) for summary in summaries],
            "notes": notes,
            "versions": versions(),
            "rows": [dict(row) for row in rows],
        }
    )
    save_text(out / "table.md", table)
    save_text(out / "results.csv", comma_separated(rows))
    save_text(out / "results.json", text)
    save_text(out / "plots.svg", plots(title, summaries, rows))
    stems = list(dict.fromkeys(str(row["case"]) for row in rows))
    drawn = sheet(pictures, stems, [plan.name for plan in protocol.solvers])
    if drawn is not None:
        files.write(out / "sheet.png", drawn)
    return Report(table, json.loads(text))


class _Measured:
    """LPIPS and FID of the written pictures, kept in the log so that they are computed once. reasons: why one of them
    could not be computed."""

    def __init__(self, log: Rows, pictures: Path, device: str):
        self.reasons: list[str] = []
        self._log, self._pictures, self._device = log, pictures, device
        self._features: Any = None
        self._clean: dict[str, np.ndarray] = {}

    def lpips(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add the LPIPS to every row that lacks it."""
        missing = [row for row in rows if "lpips" not in row]
        if not missing:
            return
        metric = perceptual.lpips_metric(self._device)
        if isinstance(metric, perceptual.Missing):
            self.reasons.append(metric.reason)
            return
        for row in missing:
            result, clean = (
                files.read(self._pictures / f"{row['case']}.{name}.png").pixels for name in (row["solver"], "clean")
            )
            self._log.add(str(row["identity"]), {"lpips": metric(result, clean)})

    def fid(self, solver: str, rows: Sequence[Mapping[str, Any]]) -> float | None:
        """Between a solver's pictures and the clean ones; None where it cannot be."""
        if len(rows) < 2:
            return None
        key = identity({"fid": [row["identity"] for row in rows]})
        if key in self._log:
            return float(self._log[key]["fid"])
        if self._features is None:
            self._features = perceptual.inception_features(self._device)
        if isinstance(self._features, perceptual.Missing):
            self.reasons.append(self._features.reason)
            return None
        stems = [str(row["case"]) for row in rows]
        clean = [self._clean_features(stem) for stem in stems]
        distance = perceptual.frechet_distance(self._parts(stems, solver), clean)
        self._log.add(key, {"fid": distance, "solver": solver})
        return distance

    def _clean_features(self, stem: str) -> np.ndarray:
        if stem not in self._clean:
            self._clean[stem] = next(self._parts([stem], "clean"))
        return self._clean[stem]

    def _parts(self, stems: Sequence[str], name: str) -> Iterator[np.ndarray]:
        for start in range(0, len(stems), _INCEPTION_BATCH):
            own = stems[start : start + _INCEPTION_BATCH]
            batch = [files.read(self._pictures / f"{stem}.{name}.png").pixels for stem in own]
            yield self._features((255 * torch.stack(batch)).round().to(torch.uint8))
