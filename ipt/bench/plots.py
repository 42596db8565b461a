"""The pictures of a benchmark: a self-contained SVG of its numbers, and the contact sheet of its results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from ipt.bench.columns import Column, columns
from ipt.bench.rows import Row
from ipt.bench.statistics import SolverSummary
from ipt.images import files
from ipt.images.parameters import read_parameter
from ipt.images.pictures import Cell, contact_sheet, kernel_picture
from ipt.report.curve import Mark
from ipt.report.templating import template

SHOWN = ("psnr", "ssim", "lpips", "kernel_mnc", "tilt_error", "seconds")
"""The columns that have a panel."""
CASES = 8
"""So many are in the contact sheet."""
_EMPTY = Cell(np.full((8, 8), 255, np.uint8))


@dataclass(frozen=True)
class Line:
    """A solver in a panel: its cases, mean and interval as places from the left."""

    solver: str
    cases: Sequence[float]
    mean: Mark | None
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Panel:
    """One number of all solvers, from `top` to `bottom`."""

    title: str
    top: int
    bottom: int
    ticks: Sequence[Mark]
    lines: Sequence[Line]


@dataclass(frozen=True)
class Histogram:
    """Of the truth's ranks among the samples: shares that sum to 1."""

    title: str
    top: int
    shares: Sequence[float]


@dataclass(frozen=True)
class Plots:
    """What the template `plots.svg.jinja` draws, in pixels."""

    EDGE: ClassVar[int] = 16
    LEFT: ClassVar[int] = 246
    PLOT: ClassVar[int] = 420
    WIDTH: ClassVar[int] = 682
    LINE: ClassVar[int] = 24
    HEAD: ClassVar[int] = 34
    FOOT: ClassVar[int] = 30
    BARS: ClassVar[int] = 90

    title: str
    height: int
    panels: Sequence[Panel]
    histograms: Sequence[Histogram]


def plots(title: str, summaries: Sequence[SolverSummary], rows: Sequence[Row]) -> str:
    """An SVG: every case as a pale dot, the mean with its interval in dark; below, where there are samples, the
    histograms of the truth's ranks, flat (dashed) where calibrated."""
    panels: list[Panel] = []
    top = Plots.HEAD
    for column in columns(key for row in rows for key in row):
        numbers = {one.solver: _numbers(rows, one.solver, column.key) for one in summaries}
        shown = [one for one in summaries if numbers[one.solver]]
        if column.key in SHOWN and shown:
            panels.append(_panel(column, shown, [numbers[one.solver] for one in shown], top))
            top = panels[-1].bottom + Plots.FOOT
    histograms = []
    for one in summaries:
        for name, shares in one.histograms.items():
            histograms.append(Histogram(f"{one.solver}: ranks of the true {name}", top, list(shares)))
            top += Plots.HEAD + Plots.BARS + Plots.FOOT
    return template("plots.svg.jinja", "ipt.bench").render(plots=Plots(title, top, panels, histograms)) + "\n"


def contact_sheet_of(folder: Path, stems: Sequence[str], solvers: Sequence[str]) -> np.ndarray | None:
    """For each of the first cases a line of pictures and, where there are, a line of kernels.

    Args:
        folder: The run's `pictures`.
        stems: Of the cases.
        solvers: Beside the clean picture and the measurement.

    Returns:
        None without pictures.
    """
    shown = ["clean", "measurement", *(name for name in solvers if name != "measurement")]
    rows = []
    for stem in stems[:CASES]:
        if not (folder / f"{stem}.clean.png").is_file():
            continue
        rows.append([_picture(folder / f"{stem}.{name}.png", name) for name in shown])
        if (folder / f"{stem}.clean.kernel.npy").is_file():
            rows.append([_kernel(folder / f"{stem}.{name}.kernel.npy", name == "clean") for name in shown])
    return contact_sheet(rows, cell=144) if rows else None


def _numbers(rows: Sequence[Row], solver: str, key: str) -> list[float]:
    found = (row.get(key) for row in rows if row["solver"] == solver and row["status"] == "done")
    return [value for value in found if isinstance(value, int | float) and math.isfinite(value)]


def _panel(column: Column, summaries: Sequence[SolverSummary], numbers: Sequence[Sequence[float]], top: int) -> Panel:
    every = [value for values in numbers for value in values]
    low, high = min(every), max(every)
    margin = 0.04 * (high - low) or 0.05 * abs(high) or 1.0
    low, high = low - margin, high + margin

    def x(value: float) -> float:
        return Plots.LEFT + (value - low) / (high - low) * Plots.PLOT

    lines = []
    for summary, values in zip(summaries, numbers, strict=True):
        mean, interval = summary.values.get(column.key), None
        if mean is None or not math.isfinite(mean.mean):
            lines.append(Line(summary.solver, [x(value) for value in values], None, None))
            continue
        if mean.low is not None and mean.high is not None:
            interval = x(mean.low), x(mean.high)
        mark = Mark(x(mean.mean), column.written(mean.mean))
        lines.append(Line(summary.solver, [x(value) for value in values], mark, interval))
    better = {"high": ", higher is better", "low": ", lower is better"}.get(column.better, "")
    ticks = [Mark(x(tick), f"{tick:g}") for tick in _ticks(low, high)]
    return Panel(column.title + better, top, top + Plots.HEAD + Plots.LINE * len(lines), ticks, lines)


def _ticks(low: float, high: float) -> list[float]:
    """Four to ten round numbers between."""
    unit = 10 ** math.floor(math.log10((high - low) / 4))
    stride = next(unit * m for m in (5, 2, 1) if (high - low) / (unit * m) >= 4)
    return [round(step * stride, 12) for step in range(math.ceil(low / stride), math.floor(high / stride) + 1)]


def _picture(path: Path, name: str) -> Cell:
    return Cell(files.read(path).pixels, name) if path.is_file() else _EMPTY


def _kernel(path: Path, true: bool) -> Cell:
    picture = kernel_picture(read_parameter(path)) if path.is_file() else None
    return _EMPTY if picture is None else Cell(picture, "true kernel" if true else "kernel")
