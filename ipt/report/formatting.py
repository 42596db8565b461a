"""Numbers as people read them."""

from __future__ import annotations

from collections.abc import Sequence

_FEW = 4
"""The most numbers of a parameter that are listed."""


def number(value: float | None) -> str:
    """A number to three significant places or so; an em dash for None."""
    if value is None:
        return "\u2014"
    if isinstance(value, int):
        return str(value)
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) >= 10 else f"{value:#.3g}"


def number_list(values: Sequence[float]) -> str:
    """Up to `_FEW` numbers, or their count and range."""
    if len(values) <= _FEW:
        return ", ".join(map(number, values))
    return f"{len(values)} values, {number(min(values))} to {number(max(values))}"
