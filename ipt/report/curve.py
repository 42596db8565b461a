"""The convergence curve of a solve: the positions of its lines, ticks and labels, for `curve.svg.jinja`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Mark:
    """A labelled position on an axis, 0..1."""

    position: float
    label: str


@dataclass(frozen=True)
class Curve:
    """A plot of the residual over the steps; positions are 0..1 from the left and from the top.

    Attributes:
        description: The plot in words, for screen readers.
        levels: Ticks of the residual, on a logarithmic axis.
        steps: Ticks of the steps.
        noise: The noise level, on the residual's axis; None: not known.
        sizes: The steps at which a coarse-to-fine solve began another size; empty if it had one size.
        lines: The residual after each step, (x, y), one line for each run of consecutive steps with a value.
    """

    description: str
    levels: Sequence[Mark]
    steps: Sequence[Mark]
    noise: Mark | None
    sizes: Sequence[Mark]
    lines: Sequence[Sequence[tuple[float, float]]]


def convergence_curve(
    trace: Sequence[float | None], noise: float | None, sizes: Sequence[Sequence[int]] = ()
) -> Curve | None:
    """The curve of a solve.

    Args:
        trace: Root mean square of the residual after each step. Values that are missing, not finite or not positive
            leave gaps.
        noise: The noise level; None: not known.
        sizes: The sizes at which the picture was solved, (height, width, steps) each, in order.

    Returns:
        None where there is nothing to draw.
    """
    values = {step: value for step, value in enumerate(trace, 1) if value and math.isfinite(value) and value > 0}
    if not values:
        return None
    noise = noise if noise and noise > 0 else None
    every = [*values.values(), *([noise] if noise else [])]
    low, high = math.log10(min(every)) - 0.08, math.log10(max(every)) + 0.08
    if high - low < 0.5:
        low, high = (low + high) / 2 - 0.25, (low + high) / 2 + 0.25
    last = max(len(trace), 2)

    def x(step: float) -> float:
        return (step - 1) / (last - 1)

    def y(value: float) -> float:
        return (high - math.log10(value)) / (high - low)

    lines: list[list[tuple[float, float]]] = []
    for step, value in values.items():
        if step - 1 not in values:
            lines.append([])
        lines[-1].append((x(step), y(value)))
    begins = [1 + sum(size[2] for size in sizes[:index]) for index in range(len(sizes))] if len(sizes) > 1 else []
    description = f"Residual after each of {len(trace)} steps; the last is {list(values.values())[-1]:.3g}"
    return Curve(
        description=description + (f", the noise level {noise:.3g}" if noise else ""),
        levels=[Mark(y(level), f"{level:g}") for level in _levels(low, high)],
        steps=[Mark(x(step), str(step)) for step in _steps(last)],
        noise=Mark(y(noise), f"noise level {noise:.3g}") if noise else None,
        sizes=[
            Mark(x(step), f"{width} \u00d7 {height} px")
            for step, (height, width, _) in zip(begins, sizes, strict=False)
        ],
        lines=lines,
    )


def _levels(low: float, high: float) -> list[float]:
    """Powers of ten, and over less than two decades also 2 and 5 times them."""
    multiples = (1, 2, 5) if high - low < 2 else (1,)
    decades = range(math.floor(low), math.ceil(high) + 1)
    return [m * 10.0**d for d in decades for m in multiples if low <= math.log10(m * 10.0**d) <= high]


def _steps(last: int) -> list[int]:
    """The first step, the last one, and round numbers between that are not too close to them."""
    raw = last / 5
    unit = 10 ** math.floor(math.log10(max(raw, 1)))
    stride = next(unit * m for m in (1, 2, 5, 10) if unit * m >= raw)
    between = [step for step in range(stride, last, stride) if step - 1 > stride / 3 and last - step > stride / 3]
    return [1, *between, last]
