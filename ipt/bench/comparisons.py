"""Numbers of a row that compare it with the rows of other solvers on the same case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ipt.bench.protocol import Protocol, SolverSpec
from ipt.bench.rows import Row
from ipt.core.operator import IMAGE

WORSE_BY = 0.2
"""dB below the measurement's PSNR, from which a result counts as worse than the measurement."""
TWICE = 2.0


def compared(protocol: Protocol, rows: Sequence[Row]) -> list[Row]:
    """The rows with comparisons added, for finished rows whose counterparts are finished too.

    "worse": 1 if the PSNR (registered if there is one) is more than WORSE_BY below the measurement's, else 0.
    "error_ratio": the squared error over that of the same solver with the true parameters.
    "within_twice": 1 if the error ratio is at most TWICE, else 0.
    """
    specs = {spec.name: spec for spec in protocol.solvers}
    measured = next((spec.name for spec in protocol.solvers if spec.baseline == "measurement"), None)
    twins = {name: _twin(protocol, spec) for name, spec in specs.items()}
    by_place = {(row["solver"], row["case"]): row for row in rows if row["status"] == "done"}
    found: list[Row] = []
    for row in rows:
        more: dict[str, Any] = {}
        if row["status"] == "done":
            before = by_place.get((measured or "", row["case"]))
            twin = by_place.get((twins[row["solver"]] or "", row["case"]))
            if before is not None and row["solver"] != measured:
                more["worse"] = float(_quality(row) < _quality(before) - WORSE_BY)
            if twin is not None:
                ratio = 10 ** ((_quality(twin) - _quality(row)) / 10)
                more |= {"error_ratio": ratio, "within_twice": float(ratio <= TWICE)}
        found.append({**row, **more})
    return found


def _quality(row: Row) -> float:
    """The PSNR in dB, registered if there is such a number."""
    return float(row.get("psnr_registered", row["psnr"]))


def _twin(protocol: Protocol, spec: SolverSpec) -> str | None:
    """The solver that differs only in its known parameters, if there is one; of several, the one with most of them."""
    if spec.baseline or spec.known:
        return None
    alike = _without_parameters(spec)
    others = [one for one in protocol.solvers if one.known and not one.baseline and _without_parameters(one) == alike]
    return max(others, key=lambda one: len(one.known)).name if others else None


def _without_parameters(spec: SolverSpec) -> SolverSpec:
    priors = {name: prior for name, prior in spec.priors.items() if name == IMAGE}
    return replace(spec, name="", known=(), priors=priors)
