"""The record of a result, its json, as the report reads it: options, versions and weights, and the residual."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Record = Mapping[str, Any]
"""The contents of a picture's json."""


@dataclass(frozen=True)
class OptionRow:
    """An option, a version or a hash of weights, with its value as text and its origin."""

    name: str
    value: str
    origin: str = ""


def residual_ratio(record: Record) -> float | None:
    """The residual over the noise level, away from the borders if that is known, since the model may be wrong there."""
    residual, noise = record.get("residual_inside", record.get("residual")), record.get("noise")
    return float(residual / noise) if residual is not None and noise else None


def option_rows(record: Record, common: Record) -> list[OptionRow]:
    """The options, versions and weights of a record that differ from those of `common`, and its seed."""
    rows = []
    for name, option in _differing(record, common, "options").items():
        given = option if isinstance(option, Mapping) else {"value": option}
        rows.append(OptionRow(name, _text(given.get("value")), str(given.get("from") or "")))
    for group in ("versions", "weights"):
        rows += [OptionRow(f"{group}: {name}", _text(v)) for name, v in _differing(record, common, group).items()]
    if record.get("seed") is not None:
        rows.append(OptionRow("seed of this picture", str(record["seed"])))
    return rows


def _differing(record: Record, common: Record, group: str) -> dict[str, Any]:
    """The entries of a group that `common` does not have with the same value."""
    shared = common.get(group) or {}
    return {name: value for name, value in (record.get(group) or {}).items() if shared.get(name) != value}


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return "none" if value is None else str(value)
