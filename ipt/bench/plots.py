"""The plot of a benchmark: a self-contained SVG, a panel a number, a line a solver."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ipt.bench.columns import Column, columns
from ipt.bench.summary import SolverSummary

SHOWN = ("psnr", "ssim", "lpips", "kernel_mnc", "tilt_error", "seconds")
_LABELS, _PLOT, _LINE, _HEAD, _FOOT, _EDGE = 230, 420, 24, 34, 30, 16
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#222}.head{font-weight:600}.tick{font-size:11px;fill:#666}"
    ".grid{stroke:#e4e4e4}.case{fill:#2f6db5;fill-opacity:.25}.interval{stroke:#17406f;stroke-width:3}"
    ".mean{fill:#17406f}.bar{fill:#2f6db5}.flat{stroke:#a33;stroke-dasharray:4 3}"
)


def plots(title: str, summaries: Sequence[SolverSummary], rows: Sequence[Mapping[str, Any]]) -> str:
    """Every case as a pale dot, the mean with its interval in dark; below, where there are samples, the histograms of
    the truth's ranks, flat (dashed) where calibrated."""
    parts, top = [], _HEAD
    for column in (column for column in columns(key for row in rows for key in row) if column.key in SHOWN):
        numbers = {s.solver: _numbers(rows, s.solver, column.key) for s in summaries}
        shown = [summary for summary in summaries if numbers[summary.solver]]
        if shown:
            parts.append(_panel(column, shown, numbers, top))
            top += _HEAD + _LINE * len(shown) + _FOOT
    for summary in summaries:
        for name, histogram in summary.histograms.items():
            parts.append(_histogram(f"{summary.solver}: ranks of the true {name}", histogram, top))
            top += _HEAD + 90 + _FOOT
    width = _EDGE + _LABELS + _PLOT + _EDGE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top}" width="{width}" height="{top}" '
        f'role="img" aria-label="{escape(title, quote=True)}"><style>{_STYLE}</style>'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'
    )


def _numbers(rows: Sequence[Mapping[str, Any]], solver: str, key: str) -> list[float]:
    found = (row.get(key) for row in rows if row["solver"] == solver and row["status"] == "done")
    return [value for value in found if value is not None and math.isfinite(value)]


def _panel(column: Column, summaries: Sequence[SolverSummary], numbers: Mapping[str, Sequence[float]], top: int) -> str:
    every = [value for values in numbers.values() for value in values]
    low, high = min(every), max(every)
    room = 0.04 * (high - low) or 0.05 * abs(high) or 1.0
    low, high = low - room, high + room
    left, bottom = _EDGE + _LABELS, top + _HEAD + _LINE * len(summaries)

    def x(value: float) -> float:
        return left + (value - low) / (high - low) * _PLOT

    better = {"high": ", higher is better", "low": ", lower is better"}.get(column.better, "")
    parts = [f'<text class="head" x="{_EDGE}" y="{top + 14}">{escape(column.title + better)}</text>']
    for tick in _ticks(low, high):
        parts.append(
            f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{top + _HEAD - 8}" y2="{bottom}"/>'
            f'<text class="tick" x="{x(tick):.1f}" y="{bottom + 14}" text-anchor="middle">{tick:g}</text>'
        )
    for index, summary in enumerate(summaries):
        y = top + _HEAD + _LINE * index + 6
        parts.append(f'<text x="{left - 12}" y="{y + 4}" text-anchor="end">{escape(summary.solver)}</text>')
        parts += [f'<circle class="case" cx="{x(v):.1f}" cy="{y}" r="4"/>' for v in numbers[summary.solver]]
        value = summary.values.get(column.key)
        if value is None or not math.isfinite(value.mean):
            continue
        if value.low is not None and value.high is not None:
            parts.append(f'<line class="interval" x1="{x(value.low):.1f}" x2="{x(value.high):.1f}" y1="{y}" y2="{y}"/>')
        parts.append(
            f'<circle class="mean" cx="{x(value.mean):.1f}" cy="{y}" r="5"><title>'
            f"{escape(summary.solver)}: {column.written(value.mean)}</title></circle>"
        )
    return "".join(parts)


def _histogram(title: str, histogram: Sequence[float], top: int) -> str:
    left, bottom, width = _EDGE + _LABELS, top + _HEAD + 90, _PLOT / len(histogram)
    scale = 90 / max(*histogram, 2 / len(histogram))
    parts = [f'<text class="head" x="{_EDGE}" y="{top + 14}">{escape(title)}</text>']
    for index, part in enumerate(histogram):
        parts.append(
            f'<rect class="bar" x="{left + index * width + 1:.1f}" y="{bottom - scale * part:.1f}" '
            f'width="{width - 2:.1f}" height="{scale * part:.1f}"/>'
        )
    flat = bottom - scale / len(histogram)
    parts.append(f'<line class="flat" x1="{left}" x2="{left + _PLOT}" y1="{flat:.1f}" y2="{flat:.1f}"/>')
    parts.append(f'<text class="tick" x="{left}" y="{bottom + 14}">below all samples</text>')
    parts.append(f'<text class="tick" x="{left + _PLOT}" y="{bottom + 14}" text-anchor="end">above all</text>')
    return "".join(parts)


def _ticks(low: float, high: float) -> list[float]:
    """Four to ten round numbers between."""
    unit = 10 ** math.floor(math.log10((high - low) / 4))
    stride = next(unit * m for m in (5, 2, 1) if (high - low) / (unit * m) >= 4)
    return [round(step * stride, 12) for step in range(math.ceil(low / stride), math.floor(high / stride) + 1)]
