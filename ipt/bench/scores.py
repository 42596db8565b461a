"""The numbers of one attempt: their columns (title, format, which way is better) and their values.

Calibration: if truth and samples are draws from one posterior, the rank of the truth among K samples is uniform over
0..K, for any number that is computed from them. Here the numbers are the entries of every unknown. A rank r stands for
the interval [r, r + 1] / (K + 1). The truth is counted as spread evenly over its interval, and over the intervals of
all its possible ranks where it equals some samples. So counts are fractions, no ties are broken at random, and if the
samples are calibrated every expectation is exact for any K.

References:
    Talts, Betancourt, Simpson, Vehtari, Gelman, "Validating Bayesian Inference Algorithms with Simulation-Based
    Calibration", arXiv 1804.06788, theorem 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ipt.bench.attempts import Attempt
from ipt.bench.cases import Case
from ipt.core.operator import IMAGE
from ipt.solve import metrics

Array = NDArray[np.float64]

LEVELS = (0.5, 0.9)
BINS = 10
NEGLIGIBLE = 1e-3
"""Entries below this share of the largest, in the truth and in every sample, are left out, such as the empty part of a
kernel. The choice treats truth and samples alike, so that ranks stay uniform."""
SECTIONS = ("Quality", "Parameters", "Calibration", "Cost")


@dataclass(frozen=True)
class Column:
    """A column of the tables.

    Attributes:
        key: Of the number in a row.
        title: In tables.
        section: One of `SECTIONS`.
        form: Format specification of the number.
        better: "high", "low", or "" for neither.
        interval: Whether the mean has a meaningful interval.
        scale: Factor from the row to the tables.
    """

    key: str
    title: str
    section: str
    form: str = ".3f"
    better: str = ""
    interval: bool = True
    scale: float = 1.0

    def written(self, value: float) -> str:
        """A value as in the tables."""
        return format(self.scale * value, self.form)


_FIXED = (
    Column("psnr", "PSNR, dB", "Quality", ".2f", "high"),
    Column("ssim", "SSIM", "Quality", ".3f", "high"),
    Column("lpips", "LPIPS (VGG)", "Quality", ".3f", "low"),
    Column("fid", "FID", "Quality", ".1f", "low", interval=False),
    Column("psnr_registered", "PSNR inside, registered", "Quality", ".2f", "high"),
    Column("worse", "worse than measured by .2 dB", "Quality", ".0%", "low"),
    Column("error_ratio", "error / true parameters'", "Quality", ".2f", "low"),
    Column("within_twice", "at most twice", "Quality", ".0%", "high"),
    Column("drift_cost", "cost of drift, dB", "Quality", ".2f", "low"),
    Column("drift", "drift, px", "Quality", ".2f", "low"),
    Column("tilt_error", "tilt error, px", "Parameters", ".3f", "low"),
    Column("tilt_error_registered", "tilt error, registered", "Parameters", ".3f", "low"),
    Column("residual", "residual / noise", "Cost", ".2f"),
    Column("calls", "network calls", "Cost", ".0f", "low", interval=False),
    Column("seconds", "seconds", "Cost", ".2f", "low", interval=False),
    Column("memory", "peak memory, MiB", "Cost", ".0f", "low", interval=False, scale=2**-20),
)
# Their keys follow the name of an unknown.
_OF_AN_UNKNOWN = (
    Column("_mse", "{} MSE", "Parameters", ".2e", "low"),
    Column("_mse_registered", "{} MSE, registered", "Parameters", ".2e", "low"),
    Column("_mnc", "{} MNC", "Parameters", ".3f", "high"),
    Column("_mnc_unregistered", "{} MNC, unregistered", "Parameters", ".3f", "high"),
    Column("_coverage_50", "{} coverage, 50 %", "Calibration", ".3f"),
    Column("_coverage_90", "{} coverage, 90 %", "Calibration", ".3f"),
    Column("_rank_f", "{} ranks, F", "Calibration", ".2f", interval=False),
    Column("_rank_p", "{} ranks, p", "Calibration", ".2g", interval=False),
)


def columns(keys: Iterable[str]) -> list[Column]:
    """The columns of the given keys, in the order of the tables; keys without a column are ignored."""
    wanted = list(dict.fromkeys(keys))
    found = [column for column in _FIXED if column.key in wanted]
    fixed = {column.key for column in found}
    for key in (key for key in wanted if key not in fixed):
        matches = [column for column in _OF_AN_UNKNOWN if key.endswith(column.key)]
        if matches:
            column = max(matches, key=lambda match: len(match.key))
            found.append(replace(column, key=key, title=column.title.format(key.removesuffix(column.key))))
    return found


def by_section(found: Sequence[Column]) -> Mapping[str, list[Column]]:
    """The columns by section, without empty sections, in order."""
    groups = {section: [column for column in found if column.section == section] for section in SECTIONS}
    return {section: group for section, group in groups.items() if group}


def scores(attempt: Attempt, case: Case) -> dict[str, Any]:
    """The numbers of an attempt, by the keys of columns; those that do not apply are left out.

    The picture is clipped to 0..1, as in its file. "histograms" holds the histograms of the truth's ranks by unknown,
    if there are several samples.
    """
    image = attempt.image.clamp(0, 1)
    if min(case.clean.shape[1:]) < metrics.SSIM_SIDE:
        found: dict[str, Any] = {"psnr": metrics.psnr(image, case.clean)}
    else:
        found = dict(metrics.against_reference(image, case.clean))
    for name, value in attempt.parameters.items():
        true = case.parameters.get(name)
        if true is None:
            # The solver has another operator.
            continue
        if name == "tilt":
            found["tilt_error"] = metrics.endpoint_error(value, true)
            found["tilt_error_registered"] = metrics.endpoint_error(value, true, register=True)
        elif len(value) == 1:
            found[f"{name}_mse"] = metrics.kernel_mse(value, true)
            found[f"{name}_mse_registered"] = metrics.kernel_mse(value, true, register=True)
            found[f"{name}_mnc"] = metrics.kernel_mnc(value, true)
            found[f"{name}_mnc_unregistered"] = metrics.kernel_mnc(value, true, register=False)
    found |= _calibrated(attempt, case)
    if attempt.residual is not None:
        found |= {"residual": attempt.residual, "calls": attempt.calls}
    found["seconds"] = attempt.seconds
    return found if attempt.memory is None else {**found, "memory": attempt.memory}


@dataclass(frozen=True)
class Calibration:
    """Calibration of one unknown of one case.

    Attributes:
        coverage: By level, the share of entries whose truth lies in the central interval of that probability.
        histogram: (BINS,), the normalised ranks of the truth among the samples, from below all to above all; sums to 1.
    """

    coverage: dict[float, float]
    histogram: tuple[float, ...]


def calibration(samples: Tensor, truth: Tensor) -> Calibration | None:
    """The calibration of samples, over all entries that are not negligible.

    Args:
        samples: (K, ...), K >= 2.
        truth: (...).

    Returns:
        None if all entries are negligible.

    Raises:
        ValueError: Shapes differ, or there are fewer than two samples.
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


def _calibrated(attempt: Attempt, case: Case) -> dict[str, Any]:
    found: dict[str, Any] = {}
    histograms: dict[str, list[float]] = {}
    truths = {**case.parameters, IMAGE: case.clean}
    for name, samples in attempt.samples.items():
        true = truths.get(name)
        # A solver's kernels may be of another size than the true one.
        counted = len(samples) > 1 and true is not None and true.shape == samples.shape[1:]
        result = calibration(samples, truths[name]) if counted else None
        if result is not None:
            found |= {f"{name}_coverage_{round(100 * level)}": share for level, share in result.coverage.items()}
            histograms[name] = list(result.histogram)
    return {**found, "histograms": histograms} if histograms else found


def _share(low: Array, high: Array, start: float, stop: float) -> Array:
    """The share of each interval low..high that lies within start..stop."""
    share: Array = np.clip(np.minimum(high, stop) - np.maximum(low, start), 0, None) / (high - low)
    return share
