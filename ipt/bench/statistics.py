"""The statistics of a benchmark: means with bootstrap intervals, and a test of simulation-based calibration.

The entries of a picture are not independent, so each case is one observation: a histogram of the ranks of its entries
(`ipt.bench.scores`). Under the hypothesis of calibration, the squared distance of the mean histogram from a flat one is
a weighted sum of chi-squared variables, with weights from the covariance of the histograms. Its distribution is
approximated by an F distribution with Satterthwaite's degrees of freedom.

References:
    Rao, Scott, "On Chi-Squared Tests for Multiway Contingency Tables with Cell Proportions Estimated from Survey Data",
    Annals of Statistics 12, 1984.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats

from ipt.bench.scores import columns

_BOOTSTRAP_DRAWS = 2000


def uniformity(histograms: Sequence[Sequence[float]]) -> tuple[float, float] | None:
    """Test the hypothesis that truth and samples have one distribution.

    Args:
        histograms: Of ranks, one per case, each with a sum of 1.

    Returns:
        The F statistic, about 1 under the hypothesis, and its p value; None for fewer than 3 cases.
    """
    values = np.asarray(histograms, dtype=float)
    if len(values) < 3:
        return None
    off = values.mean(0) - 1 / values.shape[1]
    covariance = np.cov(values, rowvar=False)
    variance = float(np.trace(covariance))
    distance = len(values) * float(np.square(off).sum())
    if variance <= 1e-12:
        return (0.0, 1.0) if distance <= 1e-12 else (math.inf, 0.0)
    freedom = variance**2 / float(np.square(covariance).sum())
    statistic = distance / variance
    return statistic, float(stats.f.sf(statistic, freedom, freedom * (len(values) - 1)))


@dataclass(frozen=True)
class Value:
    """A mean over `count` cases, with its 95 % bootstrap interval where there is one."""

    mean: float
    low: float | None = None
    high: float | None = None
    count: int = 1


@dataclass(frozen=True)
class SolverSummary:
    """The summary of one solver.

    Attributes:
        solver: Its name.
        done: Number of finished cases.
        failed: Number of failed cases.
        values: By the key of a column.
        histograms: Mean histograms of ranks, by unknown.
    """

    solver: str
    done: int
    failed: int
    values: Mapping[str, Value] = field(default_factory=dict)
    histograms: Mapping[str, Sequence[float]] = field(default_factory=dict)


def summary(solver: str, rows: Sequence[Mapping[str, Any]], extra: Mapping[str, float]) -> SolverSummary:
    """The summary of a solver.

    Args:
        solver: Its name.
        rows: Of its cases, done and failed.
        extra: Numbers of all cases together, such as the FID, by key.
    """
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
    """The mean and its 95 % percentile bootstrap interval over cases, from 2000 resamples with a fixed seed.

    There is no interval for a single number, or if one is infinite.

    References:
        Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7, 1979.
    """
    values = np.asarray(numbers, dtype=float)
    if len(values) < 2 or not np.isfinite(values).all():
        return Value(float(values.mean()) if np.isfinite(values).all() else math.inf, count=len(values))
    draws = np.random.default_rng(0).choice(values, (_BOOTSTRAP_DRAWS, len(values))).mean(1)
    low, high = np.percentile(draws, [2.5, 97.5])
    return Value(float(values.mean()), float(low), float(high), len(values))
