"""The curve of convergence as inline SVG: the residual against the noise level, a step at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

_WIDTH, _HEIGHT = 640, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 14, 40


def curve(trace: Sequence[float | None], noise: float | None, sizes: Sequence[Sequence[int]] = ()) -> str:
    """An <svg> element with a logarithmic residual axis (units of 0..1), the noise level dashed; "" with nothing to
    draw. sizes: of the picture, (height, width, steps) one after the other; where there are several, each is marked.

    Values that are missing, not finite or not positive leave gaps. Colours come from the page's classes.
    """
    points = [
        (step, value) for step, value in enumerate(trace, 1) if value is not None and math.isfinite(value) and value > 0
    ]
    if not points:
        return ""
    levels = [value for _, value in points] + ([noise] if noise and noise > 0 else [])
    low, high = math.log10(min(levels)) - 0.08, math.log10(max(levels)) + 0.08
    if high - low < 0.5:
        low, high = (low + high) / 2 - 0.25, (low + high) / 2 + 0.25
    last = max(len(trace), 2)

    def x(step: float) -> float:
        return _LEFT + (step - 1) / (last - 1) * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _TOP + (high - math.log10(value)) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    parts = []
    for value in _ticks(low, high):
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
        )
        parts.append(f'<text x="{_LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    for step in _steps(last):
        parts.append(f'<text x="{x(step):.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{step}</text>')
    parts.append(f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 4}" text-anchor="middle">step</text>')
    if noise and noise > 0:
        height = y(noise)
        # The label goes where the curve, which falls from the left, is not.
        beside = height + 15 if height < _HEIGHT - _BOTTOM - 22 else height - 6
        parts.append(f'<line class="noise" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{height:.1f}" y2="{height:.1f}"/>')
        parts.append(f'<text class="noise" x="{_LEFT + 6}" y="{beside:.1f}">noise level {noise:.3g}</text>')
    if len(sizes) > 1:
        step = 1
        for height, width, steps in sizes:
            begin = f"{x(step):.1f}"
            parts.append(f'<line class="grid" x1="{begin}" x2="{begin}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>')
            parts.append(f'<text x="{x(step) + 5:.1f}" y="{_TOP + 11}">{width} \u00d7 {height} px</text>')
            step += steps
    parts += [f'<polyline class="trace" points="{line}"/>' for line in _lines(points, x, y)]
    step, value = points[-1]
    parts.append(f'<circle class="end" cx="{x(step):.1f}" cy="{y(value):.1f}" r="4"/>')
    said = f"Residual after each of {len(trace)} steps; the last is {value:.3g}" + (
        f", the noise level {noise:.3g}" if noise else ""
    )
    return (
        f'<svg class="curve" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(said)}">'
        f"<title>{escape(said)}</title>{''.join(parts)}</svg>"
    )


def _lines(points: Sequence[tuple[int, float]], x: Callable[[float], float], y: Callable[[float], float]) -> list[str]:
    """The runs of consecutive steps, as lists of coordinates."""
    lines: list[list[str]] = []
    previous = None
    for step, value in points:
        if previous is None or step != previous + 1:
            lines.append([])
        lines[-1].append(f"{x(step):.1f},{y(value):.1f}")
        previous = step
    return [" ".join(line) for line in lines]


def _ticks(low: float, high: float) -> list[float]:
    """Powers of ten, with 2 and 5 times them where there would be few."""
    multiples = (1, 2, 5) if high - low < 2 else (1,)
    decades = range(math.floor(low), math.ceil(high) + 1)
    return [m * 10.0**d for d in decades for m in multiples if low <= math.log10(m * 10.0**d) <= high]


def _steps(last: int) -> list[int]:
    """The first, the last, and round numbers between that leave them room."""
    raw = last / 5
    unit = 10 ** math.floor(math.log10(max(raw, 1)))
    stride = next(unit * m for m in (1, 2, 5, 10) if unit * m >= raw)
    between = [step for step in range(stride, last, stride) if step - 1 > stride / 3 and last - step > stride / 3]
    return [1, *between, last]
