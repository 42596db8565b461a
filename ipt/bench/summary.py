"""From rows to a number a solver: means with a bootstrap interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ipt.bench.calibration import uniformity
from ipt.bench.columns import columns

_DRAWS = 2000


@dataclass(frozen=True)
class Value:
    """A mean over `count` cases, with its 95 % bootstrap interval where there is one."""

    mean: float
    low: float | None = None
    high: float | None = None
    count: int = 1


@dataclass(frozen=True)
class SolverSummary:
    """done, failed: how many cases. values: by the key of a column. histograms: by unknown, the mean over cases."""

    solver: str
    done: int
    failed: int
    values: Mapping[str, Value] = field(default_factory=dict)
    histograms: Mapping[str, Sequence[float]] = field(default_factory=dict)


def summarised(solver: str, rows: Sequence[Mapping[str, Any]], extra: Mapping[str, float]) -> SolverSummary:
    """rows: of one solver, done and failed. extra: numbers that are of all cases together, such as the FID."""
    done = [row for row in rows if row["status"] == "done"]
    values: dict[str, Value] = {}
    for column in columns(key for row in done for key in row):
        numbers = [row[column.key] for row in done if row.get(column.key) is not None]
        whole = max(numbers) if column.key == "memory" else float(np.mean(numbers))
        values[column.key] = mean(numbers) if column.interval else Value(whole, count=len(numbers))
    unknowns = dict.fromkeys(name for row in done for name in row.get("histograms", {}))
    histograms = {}
    for name in unknowns:
        own = [row["histograms"][name] for row in done if name in row.get("histograms", {})]
        histograms[name] = [float(part) for part in np.mean(own, axis=0)]
        tested = uniformity(own)
        if tested is not None:
            values[f"{name}_rank_f"], values[f"{name}_rank_p"] = (Value(number, count=len(own)) for number in tested)
    values |= {key: Value(number, count=len(done)) for key, number in extra.items()}
    return SolverSummary(solver, len(done), len(rows) - len(done), values, histograms)


def mean(numbers: Sequence[float]) -> Value:
    """The mean and its 95 % percentile bootstrap interval over cases (Efron, 1979), 2000 draws of fixed seed.

    A single number, or one that is infinite, has none."""
    values = np.asarray(numbers, dtype=float)
    if len(values) < 2 or not np.isfinite(values).all():
        return Value(float(values.mean()) if np.isfinite(values).all() else math.inf, count=len(values))
    draws = np.random.default_rng(0).choice(values, (_DRAWS, len(values))).mean(1)
    low, high = np.percentile(draws, [2.5, 97.5])
    return Value(float(values.mean()), float(low), float(high), len(values))
