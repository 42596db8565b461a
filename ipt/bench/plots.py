"""Plots of a benchmark: an SVG of its numbers (the data of `plots.svg.jinja`), and a contact sheet of its results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ipt.bench.rows import Row
from ipt.bench.scores import Column, columns
from ipt.bench.statistics import SolverSummary
from ipt.images import files
from ipt.images.parameters import read_parameter
from ipt.images.pictures import Cell, contact_sheet, kernel_picture
from ipt.report.curve import Mark
from ipt.report.templating import template

SHOWN = ("psnr", "ssim", "lpips", "kernel_mnc", "tilt_error", "seconds")
"""Keys of the columns that have a panel."""
CASES = 8
"""The most cases in the contact sheet."""
_EMPTY = Cell(np.full((8, 8), 255, np.uint8))


@dataclass(frozen=True)
class Line:
    """A solver in a panel: its cases, their mean and the mean's interval, as positions from the left, 0..1."""

    name: str
    cases: Sequence[float]
    mean: Mark | None
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Panel:
    """The plot of one number, with a line per solver."""

    title: str
    ticks: Sequence[Mark]
    lines: Sequence[Line]


@dataclass(frozen=True)
class Histogram:
    """A histogram of the truth's ranks among the samples; the shares sum to 1."""

    title: str
    shares: list[float]


def plots(title: str, summaries: Sequence[SolverSummary], rows: Sequence[Row]) -> str:
    """The SVG: a panel per number with every case as a pale dot, and the mean with its interval.

    With several samples, histograms of the truth's ranks follow, with a dashed line for calibrated samples.
    """
    shown = [column for column in columns(key for row in rows for key in row) if column.key in SHOWN]
    panels = [panel for column in shown if (panel := _panel(column, summaries, rows)) is not None]
    histograms = [
        Histogram(f"{one.solver}: ranks of the true {name}", list(shares))
        for one in summaries
        for name, shares in one.histograms.items()
    ]
    drawn = template("plots.svg.jinja", "ipt.bench").render(title=title, panels=panels, histograms=histograms)
    return f"{drawn}\n"


def contact_sheet_of(folder: Path, stems: Sequence[str], solvers: Sequence[str]) -> np.ndarray | None:
    """The contact sheet: for each of the first cases a row of pictures, and one of kernels if there are kernels.

    Args:
        folder: Of the pictures.
        stems: Of the cases.
        solvers: Names of the solvers, in order.

    Returns:
        None if there are no pictures.
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


def _panel(column: Column, summaries: Sequence[SolverSummary], rows: Sequence[Row]) -> Panel | None:
    numbers: dict[str, list[float]] = {one.solver: [] for one in summaries}
    for row in rows:
        value = row.get(column.key) if row["status"] == "done" else None
        if value is not None and math.isfinite(value):
            numbers[row["solver"]].append(value)
    every = [value for values in numbers.values() for value in values]
    if not every:
        return None
    low, high = min(every), max(every)
    margin = 0.04 * (high - low) or 0.05 * abs(high) or 1.0
    low, high = low - margin, high + margin

    def x(value: float) -> float:
        return (value - low) / (high - low)

    lines = []
    for one in summaries:
        mean, mark, interval = one.values.get(column.key), None, None
        if mean is not None and math.isfinite(mean.mean):
            mark = Mark(x(mean.mean), column.written(mean.mean))
        if mean is not None and mean.low is not None and mean.high is not None:
            interval = x(mean.low), x(mean.high)
        lines.append(Line(one.solver, [x(value) for value in numbers[one.solver]], mark, interval))
    better = {"high": ", higher is better", "low": ", lower is better"}.get(column.better, "")
    ticks = [Mark(x(tick), f"{tick:g}") for tick in _ticks(low, high)]
    return Panel(column.title + better, ticks, [line for line in lines if line.cases])


def _ticks(low: float, high: float) -> list[float]:
    """Four to ten round numbers between `low` and `high`."""
    unit = 10 ** math.floor(math.log10((high - low) / 4))
    stride = next(unit * m for m in (5, 2, 1) if (high - low) / (unit * m) >= 4)
    return [round(step * stride, 12) for step in range(math.ceil(low / stride), math.floor(high / stride) + 1)]


def _picture(path: Path, name: str) -> Cell:
    return Cell(files.read(path).pixels, name) if path.is_file() else _EMPTY


def _kernel(path: Path, true: bool) -> Cell:
    picture = kernel_picture(read_parameter(path)) if path.is_file() else None
    return _EMPTY if picture is None else Cell(picture, "true kernel" if true else "kernel")
