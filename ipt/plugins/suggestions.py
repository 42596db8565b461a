"""Suggestions for an unknown name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def advice(name: str, known: Iterable[str], label: str = "known") -> str:
    """The end of a message: `; did you mean 'dps'? known: dps, proximal`, with the question only for a similar name."""
    names = list(dict.fromkeys(known))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    question = f"; did you mean {near[0]!r}?" if near else ";"
    return f"{question} {label}: {', '.join(names) or 'none'}"
