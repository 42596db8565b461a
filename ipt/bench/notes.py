"""What a reader of a benchmark's table must know, as lines below it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ipt.bench.attempts import Bench
from ipt.bench.cases import Cases
from ipt.bench.protocol import BASELINES, SHIPPED, Plan

_FAILURES = 10


def notes_on(bench: Bench, cases: Cases, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """How the figures were made, what each solver was told, and what failed."""
    protocol = bench.protocol
    together = bench.together() * bench.samples
    notes = [
        f"Mean over cases (95 % bootstrap interval over cases). {len(cases)} cases of {protocol.size} x "
        f"{protocol.size} px, noise {protocol.noise:g} on 0..1, seed {protocol.seed} for the data and {bench.seed} for "
        f"the solvers.",
        "Registered: after moving the result, or the kernel, by the shift that a blind problem leaves free; MNC is by "
        "definition the largest over shifts.",
        f"Seconds: on {bench.device}, {bench.precision}; up to {together} draws are solved together and share them. "
        f"Peak memory: of the process with all that is loaded (of a GPU, what was allocated).",
        "FID is biased upwards where pictures are few: compare it at equal numbers of cases alone.",
    ]
    if bench.tiled:
        notes.append("A prior of pictures of another size worked in overlapping tiles.")
    if protocol.pictures == SHIPPED:
        notes.append(
            "The pictures are one face and its mirror image by turns, each time with another kernel: cases are not "
            "independent, and no test set."
        )
    if bench.samples > 1:
        notes.append(
            f"{bench.samples} samples a case; the result is their mean. Coverage: how often the truth lies in the "
            f"central 50 % and 90 % of the samples, entry by entry. Ranks: where truth and samples have one "
            f"distribution, F is about 1 and p evenly spread over 0..1 (simulation-based calibration, from 3 cases up)."
        )
    notes += [note for plan in protocol.solvers for note in _told(plan)]
    failed = [row for row in rows if row["status"] != "done"]
    for row in failed[:_FAILURES]:
        notes.append(f"Failed: {row['solver']} {row['case']} ({row['picture']}): {row['reason']}")
    if len(failed) > _FAILURES:
        notes.append(f"... and {len(failed) - _FAILURES} more failures, in results.csv.")
    return notes


def _told(plan: Plan) -> Iterator[str]:
    """What a baseline is, or how a solver differs from its rule as it comes, told the operator of the data."""
    if plan.baseline:
        best = "" if plan.baseline == "measurement" else ", tuned on the truth for the best PSNR of each picture"
        yield f"{plan.name}: {BASELINES[plan.baseline]}{best}."
        return
    told = [f"{'operator' if key == 'name' else key} {value}" for key, value in plan.operator.items()]
    told += [f"the true {name}" for name in plan.known]
    said = [f"guidance {plan.guidance}"]
    said += [f"{plan.steps} steps"] if plan.steps is not None else []
    said += [f"told {' and '.join(told)}"] if told else []
    yield f"{plan.name}: {', '.join(said)}."
