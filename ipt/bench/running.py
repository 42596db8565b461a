"""A whole benchmark: every solver on every case, then the table, the plots and the sheet.

OUT/protocol.yaml                    what was run; `ipt bench OUT/protocol.yaml` runs it again
OUT/rows.jsonl                       a line a case and solver, written as soon as it is done
OUT/pictures/00003.clean.png, .measurement.png, .SOLVER.png; 00003.clean.kernel.npy, 00003.SOLVER.kernel.npy
OUT/table.md, results.csv, results.json, plots.svg, sheet.png
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ipt.bench.attempts import Attempt, Bench
from ipt.bench.cases import Case, Cases, cases_of
from ipt.bench.protocol import Plan
from ipt.bench.reporting import Report, report
from ipt.bench.rows import Rows
from ipt.bench.saving import save_protocol
from ipt.bench.scores import scores
from ipt.core.errors import IptError
from ipt.core.solver import Solver
from ipt.images import files
from ipt.images.atomic import check_folder
from ipt.images.outcomes import Outcome, Watcher
from ipt.images.parameters import write_parameter
from ipt.images.records import identity
from ipt.plugins.registry import one_line
from ipt.solve.provenance import weight_hashes

_PICTURES = "pictures"


def run_bench(bench: Bench, out: str, watcher: Watcher) -> Report:
    """Run what is not done yet, and report all of it.

    An attempt that fails is recorded, and tried again by the next run; the others go on. IptError: a protocol whose
    parts cannot be built, pictures that cannot be used, a folder that cannot be written to.
    """
    cases = cases_of(bench.protocol)
    weights = {plan.name: _weights(bench, plan) for plan in bench.protocol.solvers}
    folder = check_folder(out)
    check_folder(folder / _PICTURES)
    save_protocol(folder, bench.protocol)
    run = _Run(bench, cases, weights, folder, Rows(folder / "rows.jsonl"), watcher)
    keys = [key for plan in bench.protocol.solvers for key in run.solve(plan)]
    rows = [run.rows[key] for key in keys]
    return report(bench, cases, rows, run.rows, folder, folder / _PICTURES)


def _weights(bench: Bench, plan: Plan) -> dict[str, str]:
    """Hashes of a solver's networks. It is built for that and dropped, so that all solvers are known to be possible
    before the first is run, and only one is in memory at a time."""
    if plan.baseline:
        return {}
    return weight_hashes(bench.solver(plan).priors)


@dataclass(frozen=True)
class _Run:
    bench: Bench
    cases: Cases
    weights: Mapping[str, Mapping[str, str]]
    out: Path
    rows: Rows
    watcher: Watcher

    def solve(self, plan: Plan) -> list[str]:
        """Run one solver on the cases that it has not done; the identities of all its rows."""
        keys: list[str] = []
        todo: list[tuple[Case, str]] = []
        size = 1 if plan.baseline else self.bench.together()
        solver: Solver | None = None
        for number in range(len(self.cases)):
            case = self.cases[number]
            key = self._identity(plan, case)
            keys.append(key)
            if self.rows.digest(case.stem) not in (None, case.digest):
                raise IptError(
                    f"{self.out} has results on other data (case {case.stem} was another); "
                    f"choose another folder with -o"
                )
            if not self._done(plan, case, key):
                todo.append((case, key))
            if todo and (len(todo) == size or number + 1 == len(self.cases)):
                if solver is None and not plan.baseline:
                    solver = self.bench.solver(plan)
                self._attempts(plan, solver, todo)
                todo = []
        return keys

    def _attempts(self, plan: Plan, solver: Solver | None, todo: Sequence[tuple[Case, str]]) -> None:
        cases = [case for case, _ in todo]
        labels = [f"{plan.name} {case.stem}" for case in cases]
        label = labels[0] if len(labels) == 1 else f"{labels[0]} to {cases[-1].stem}"
        solvers = self.bench.protocol.solvers
        before = solvers.index(plan) * len(self.cases) + int(cases[0].stem)
        self.watcher.begin(label, before + 1, len(solvers) * len(self.cases), len(cases))
        try:
            if solver is None:
                attempts = [self.bench.attempt_baseline(plan, case, self.cases.operator) for case in cases]
            else:
                attempts = self.bench.attempt(solver, plan, cases, self.watcher.step)
            for (case, key), attempt in zip(todo, attempts, strict=True):
                self._keep(plan, case, key, attempt)
        except Exception as error:
            if len(todo) > 1:
                # One of a batch spoils all of it: each for itself.
                for one in todo:
                    self._attempts(plan, solver, [one])
                return
            reason = str(error) if isinstance(error, IptError) else one_line(error)
            case, key = todo[0]
            self.rows.add(key, {**_head(plan, case), "status": "failed", "reason": reason})
            self.watcher.end(Outcome(label, "failed", reason=reason))
            return
        for name in labels:
            self.watcher.end(Outcome(name, "done"))

    def _keep(self, plan: Plan, case: Case, key: str, attempt: Attempt) -> None:
        """The files first, so that where the row is, they are."""
        place = self.out / _PICTURES
        if not (place / f"{case.stem}.clean.png").is_file():
            files.write(place / f"{case.stem}.measurement.png", case.measurement)
            for name, value in case.parameters.items():
                write_parameter(place / f"{case.stem}.clean.{name}.npy", value)
            files.write(place / f"{case.stem}.clean.png", case.clean)
        files.write(place / f"{case.stem}.{plan.name}.png", attempt.image)
        for name, value in attempt.parameters.items():
            write_parameter(place / f"{case.stem}.{plan.name}.{name}.npy", value)
        self.rows.add(key, {**_head(plan, case), "status": "done", "reason": "", **scores(attempt, case)})

    def _done(self, plan: Plan, case: Case, key: str) -> bool:
        row = self.rows.last(plan.name, case.stem)
        there = (self.out / _PICTURES / f"{case.stem}.{plan.name}.png").is_file()
        return row is not None and row["identity"] == key and row["status"] == "done" and there

    def _identity(self, plan: Plan, case: Case) -> str:
        protocol = self.bench.protocol
        values: dict[str, Any] = {**_head(plan, case), "plan": asdict(plan)}
        if not plan.baseline:
            values |= {
                "data": protocol.data(),
                "priors": dict(protocol.priors),
                "weights": self.weights[plan.name],
                "seed": self.bench.seed,
                "samples": self.bench.samples,
                "precision": self.bench.precision,
                **({"tiled": True} if self.bench.tiled else {}),
            }
        return identity(values)


def _head(plan: Plan, case: Case) -> dict[str, str]:
    return {"solver": plan.name, "case": case.stem, "picture": case.picture, "digest": case.digest}
