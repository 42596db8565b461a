"""Suggestions for an unknown name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def advice(name: str, known: Iterable[str], label: str = "known") -> str:
    """`; did you mean 'dps'? known: dps, proximal`, or without the question where nothing is near."""
    names = list(dict.fromkeys(known))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    question = f"; did you mean {near[0]!r}?" if near else ";"
    return f"{question} {label}: {', '.join(names) or 'none'}"
