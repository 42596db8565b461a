"""Whether a posterior's samples are as spread as they should be: simulation-based calibration and coverage.

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
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from torch import Tensor

LEVELS = (0.5, 0.9)
BINS = 10
NEGLIGIBLE = 1e-3
"""Entries below this part of the largest, in the truth and in every sample, are left out: the empty part of a kernel
says nothing. The choice is the same whichever of the K + 1 is the truth, so ranks stay uniform."""


@dataclass(frozen=True)
class Calibration:
    """Of one unknown of one case. coverage: by level, the part of the entries whose truth lies in the central interval
    of that probability. histogram: (BINS,), where the truths lie among the samples, from below all to above all; sums
    to 1."""

    coverage: dict[float, float]
    histogram: tuple[float, ...]


def calibration(samples: Tensor, truth: Tensor) -> Calibration | None:
    """samples (K, ...), K >= 2, truth (...). None where no entry is worth counting. ValueError: shapes that differ."""
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
    histogram = [float(_share(low, high, a, b).mean()) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    return Calibration(coverage, tuple(histogram))


def uniformity(histograms: Sequence[Sequence[float]]) -> tuple[float, float] | None:
    """The F statistic and p value of the hypothesis that truth and samples have one distribution, from a histogram a
    case; small p: they have not. About 1 is what F is under the hypothesis. None for fewer than 3 cases."""
    values = np.asarray(histograms, dtype=float)
    if len(values) < 3:
        return None
    off = values.mean(0) - 1 / values.shape[1]
    covariance = np.cov(values, rowvar=False)
    spread = float(np.trace(covariance))
    distance = len(values) * float(np.square(off).sum())
    if spread <= 1e-12:
        return (0.0, 1.0) if distance <= 1e-12 else (math.inf, 0.0)
    freedom = spread**2 / float(np.square(covariance).sum())
    statistic = distance / spread
    return statistic, float(stats.f.sf(statistic, freedom, freedom * (len(values) - 1)))


def _share(low: np.ndarray, high: np.ndarray, start: float, stop: float) -> np.ndarray:
    """What part of each interval low..high lies within start..stop."""
    return np.clip(np.minimum(high, stop) - np.maximum(low, start), 0, None) / (high - low)
