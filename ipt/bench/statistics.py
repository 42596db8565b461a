"""The statistics of a benchmark: means with bootstrap intervals, coverage and simulation-based calibration of samples.

If truth and samples are draws from one posterior, the rank of the truth among K samples is uniform over 0..K, for any
number that is computed from them (Talts, Betancourt, Simpson, Vehtari, Gelman, "Validating Bayesian Inference
Algorithms with Simulation-Based Calibration", arXiv 1804.06788, theorem 1). Here the numbers are the entries of every
unknown. A rank r stands for the interval [r, r + 1] / (K + 1); the truth is counted as spread evenly over its
interval, and over the intervals of all ranks it could have where it equals some samples. So counts are fractions,
nothing is drawn, and under the hypothesis every expectation is exact for any K.

The entries of a picture depend on each other, so each case is one observation: a histogram of the places of its
entries. Over cases, the distance of the mean histogram from a flat one is a sum of chi-squared variables with the
weights that the covariance between cases has; its distribution is matched by an F of Satterthwaite's degrees of
freedom, as Rao and Scott do for surveys ("On Chi-Squared Tests for Multiway Contingency Tables with Cell Proportions
Estimated from Survey Data", Annals of Statistics 12, 1984).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from ipt.bench.columns import columns

Array = NDArray[np.float64]

LEVELS = (0.5, 0.9)
BINS = 10
NEGLIGIBLE = 1e-3
"""Entries below this part of the largest, in the truth and in every sample, are left out: the empty part of a kernel
says nothing. The choice is the same whichever of the K + 1 is the truth, so ranks stay uniform."""
_BOOTSTRAP_DRAWS = 2000


@dataclass(frozen=True)
class Calibration:
    """Of one unknown of one case.

    Attributes:
        coverage: By level, the part of the entries whose truth lies in the central interval of that probability.
        histogram: (BINS,), where the truths lie among the samples, from below all to above all; sums to 1.
    """

    coverage: dict[float, float]
    histogram: tuple[float, ...]


def calibration(samples: Tensor, truth: Tensor) -> Calibration | None:
    """Where the truth (...) lies among samples (K, ...), K >= 2, entry by entry; None where no entry counts.

    Raises:
        ValueError: Shapes that differ, or fewer than two samples.
    """
    if samples.shape[1:] != truth.shape or len(samples) < 2:
        raise ValueError(f"two or more samples of shape {tuple(truth.shape)} are needed, not {tuple(samples.shape)}")
    drawn, true = samples.double().flatten(1).numpy(), truth.double().flatten().numpy()
    size = np.maximum(np.abs(drawn).max(0), np.abs(true))
    counted = size > NEGLIGIBLE * size.max(initial=0)
    if not counted.any():
        return None
    drawn, true = drawn[:, counted], true[counted]
    count = len(drawn) + 1
    low = (drawn < true).sum(0) / count
    high = ((drawn <= true).sum(0) + 1) / count
    coverage = {level: float(_share(low, high, (1 - level) / 2, (1 + level) / 2).mean()) for level in LEVELS}
    edges = np.linspace(0, 1, BINS + 1)
    histogram = [float(_share(low, high, a, b).mean()) for a, b in pairwise(edges)]
    return Calibration(coverage, tuple(histogram))


def uniformity(histograms: Sequence[Sequence[float]]) -> tuple[float, float] | None:
    """A test of the hypothesis that truth and samples have one distribution.

    Args:
        histograms: Of each case, as `calibration` gives them.

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


def _share(low: Array, high: Array, start: float, stop: float) -> Array:
    """What part of each interval low..high lies within start..stop."""
    share: Array = np.clip(np.minimum(high, stop) - np.maximum(low, start), 0, None) / (high - low)
    return share


@dataclass(frozen=True)
class Value:
    """A mean over `count` cases, with its 95 % bootstrap interval where there is one."""

    mean: float
    low: float | None = None
    high: float | None = None
    count: int = 1


@dataclass(frozen=True)
class SolverSummary:
    """The numbers of one solver.

    Attributes:
        solver: Its name.
        done: How many cases.
        failed: How many cases.
        values: By the key of a column.
        histograms: Of the truth's ranks by unknown, the mean over cases.
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
        extra: Numbers of all cases together, such as the FID.
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
    """The mean and its 95 % percentile bootstrap interval over cases, 2000 draws of fixed seed.

    A single number, or one that is infinite, has no interval.

    References:
        Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7, 1979.
    """
    values = np.asarray(numbers, dtype=float)
    if len(values) < 2 or not np.isfinite(values).all():
        return Value(float(values.mean()) if np.isfinite(values).all() else math.inf, count=len(values))
    draws = np.random.default_rng(0).choice(values, (_BOOTSTRAP_DRAWS, len(values))).mean(1)
    low, high = np.percentile(draws, [2.5, 97.5])
    return Value(float(values.mean()), float(low), float(high), len(values))
