"""A benchmark run: every solver on every case, then the report.

OUT/protocol.yaml                    the protocol; `ipt bench OUT/protocol.yaml` runs it again
OUT/rows.jsonl                       one line per case and solver, written as soon as it is done
OUT/pictures/00003.clean.png, .measurement.png, .SOLVER.png; 00003.clean.kernel.npy, 00003.SOLVER.kernel.npy
OUT/table.md, results.csv, results.json, plots.svg, sheet.png
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ipt.bench.attempts import Attempt, Bench
from ipt.bench.cases import Case, Cases, cases_of, write_protocol
from ipt.bench.protocol import SolverSpec
from ipt.bench.report import Report, report
from ipt.bench.rows import Rows
from ipt.bench.scores import scores
from ipt.core.errors import IptError
from ipt.core.solver import Solver
from ipt.images import files
from ipt.images.atomic import check_folder
from ipt.images.outcomes import Outcome, ProgressListener
from ipt.images.parameters import write_parameter
from ipt.images.records import identity, weight_hashes
from ipt.plugins.faults import one_line

_PICTURES = "pictures"


def run_bench(bench: Bench, out: str, listener: ProgressListener) -> Report:
    """Run the attempts that are not done yet, and write the report on all of them.

    A failed attempt is recorded, and repeated by the next run; the others are not affected.

    Args:
        bench: The protocol and options.
        out: The folder of the benchmark.
        listener: Gets the progress.

    Raises:
        IptError: A part of the protocol cannot be built, a picture cannot be used, or the folder cannot be written to,
            or has results on other data.
    """
    cases = cases_of(bench.protocol)
    weights = {spec.name: _weights(bench, spec) for spec in bench.protocol.solvers}
    folder = check_folder(out)
    pictures = check_folder(folder / _PICTURES)
    write_protocol(folder, bench.protocol)
    run = _Run(bench, cases, weights, folder, Rows(folder / "rows.jsonl"), listener)
    keys = [key for spec in bench.protocol.solvers for key in run.solve(spec)]
    return report(bench, cases, keys, run.rows, folder, pictures)


def _weights(bench: Bench, spec: SolverSpec) -> dict[str, str]:
    """Hashes of a solver's networks.

    The solver is built and dropped again: so all solvers are tested before the first one runs, and only one at a time
    is in memory.
    """
    return {} if spec.baseline else weight_hashes(bench.solver(spec).priors)


@dataclass(frozen=True)
class _Run:
    bench: Bench
    cases: Cases
    weights: Mapping[str, Mapping[str, str]]
    out: Path
    rows: Rows
    listener: ProgressListener

    def solve(self, spec: SolverSpec) -> list[str]:
        """Run one solver on the cases that are not done, and return the identities of all its rows."""
        keys: list[str] = []
        todo: list[tuple[Case, str]] = []
        size = 1 if spec.baseline else self.bench.cases_together
        solver: Solver | None = None
        for number in range(len(self.cases)):
            case = self.cases[number]
            key = self._identity(spec, case)
            keys.append(key)
            if self.rows.digest(case.stem) not in (None, case.digest):
                raise IptError(
                    f"{self.out} has results on other data (case {case.stem} was another); choose another folder (out=)"
                )
            if not self._done(spec, case, key):
                todo.append((case, key))
            if todo and (len(todo) == size or number + 1 == len(self.cases)):
                if solver is None and not spec.baseline:
                    solver = self.bench.solver(spec)
                self._attempt(spec, solver, todo)
                todo = []
        return keys

    def _attempt(self, spec: SolverSpec, solver: Solver | None, todo: Sequence[tuple[Case, str]]) -> None:
        cases = [case for case, _ in todo]
        names = [f"{spec.name} {case.stem}" for case in cases]
        label = names[0] if len(names) == 1 else f"{names[0]} to {cases[-1].stem}"
        solvers = self.bench.protocol.solvers
        before = solvers.index(spec) * len(self.cases) + int(cases[0].stem)
        self.listener.begin(label, before + 1, len(solvers) * len(self.cases), len(cases))
        try:
            if solver is None:
                attempts = [self.bench.attempt_baseline(spec, case, self.cases.operator) for case in cases]
            else:
                attempts = self.bench.attempt(solver, spec, cases, self.listener.step)
            for (case, key), attempt in zip(todo, attempts, strict=True):
                self._keep(spec, case, key, attempt)
        except Exception as error:
            if len(todo) > 1:
                # One case may have failed the batch: solved one by one, the others succeed.
                for one in todo:
                    self._attempt(spec, solver, [one])
                return
            reason = str(error) if isinstance(error, IptError) else one_line(error)
            case, key = todo[0]
            self.rows.add(key, {**_head(spec, case), "status": "failed", "reason": reason})
            self.listener.end(Outcome(label, "failed", reason=reason))
            return
        for name in names:
            self.listener.end(Outcome(name, "done"))

    def _keep(self, spec: SolverSpec, case: Case, key: str, attempt: Attempt) -> None:
        """Write an attempt's files, and then its row: a row means that the files are there."""
        place = self.out / _PICTURES
        if not (place / f"{case.stem}.clean.png").is_file():
            files.write(place / f"{case.stem}.measurement.png", case.measurement)
            for name, value in case.parameters.items():
                write_parameter(place / f"{case.stem}.clean.{name}.npy", value)
            files.write(place / f"{case.stem}.clean.png", case.clean)
        files.write(place / f"{case.stem}.{spec.name}.png", attempt.image)
        for name, value in attempt.parameters.items():
            write_parameter(place / f"{case.stem}.{spec.name}.{name}.npy", value)
        self.rows.add(key, {**_head(spec, case), "status": "done", "reason": "", **scores(attempt, case)})

    def _done(self, spec: SolverSpec, case: Case, key: str) -> bool:
        row = self.rows.last(spec.name, case.stem)
        there = (self.out / _PICTURES / f"{case.stem}.{spec.name}.png").is_file()
        return row is not None and row["identity"] == key and row["status"] == "done" and there

    def _identity(self, spec: SolverSpec, case: Case) -> str:
        protocol, options = self.bench.protocol, self.bench.options
        values: dict[str, Any] = {**_head(spec, case), "plan": asdict(spec)}
        if not spec.baseline:
            values |= {
                "data": protocol.data(),
                "priors": dict(protocol.priors),
                "weights": self.weights[spec.name],
                "seed": options.seed,
                "samples": options.samples,
                "precision": options.precision,
                **({"tiled": True} if options.tiled else {}),
            }
        return identity(values)


def _head(spec: SolverSpec, case: Case) -> dict[str, str]:
    return {"solver": spec.name, "case": case.stem, "picture": case.picture, "digest": case.digest}
