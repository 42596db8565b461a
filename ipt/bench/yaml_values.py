"""Checks of values from YAML: each returns the value with its type, or raises an IptError that names its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ipt.core.errors import IptError, Misuse
from ipt.plugins.suggestions import advice


def mapping(values: object, where: str, known: Sequence[str] = ()) -> dict[str, Any]:
    """The values as a mapping with texts as keys, all of them `known` if some are named; None is an empty mapping."""
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise IptError(f"{where} holds names and values (name: value), not {values!r}")
    for key in values:
        if known and key not in known:
            raise Misuse(f"{where} has an unknown key {key!r}{advice(key, known, 'keys')}")
    return values


def texts(values: object, where: str) -> dict[str, str]:
    """The values as a mapping from texts to texts."""
    return {key: text(value, f"{where}.{key}") for key, value in mapping(values, where).items()}


def text(value: object, where: str) -> str:
    """The value, if it is a text."""
    if not isinstance(value, str):
        raise IptError(f"{where} is text, not {value!r}")
    return value


def whole(value: object, where: str, least: int) -> int:
    """The value, if it is a whole number from `least` up."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise IptError(f"{where} is a whole number from {least} up, not {value!r}")
    return value
