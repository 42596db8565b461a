"""Suggestions for an unknown name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def advice(name: str, known: Iterable[str], label: str = "known") -> str:
    """The end of a message: `; did you mean 'dps'? known: dps, proximal`, with the question only for a similar name.

    name: as typed; of "name:option=value" the name is compared.
    """
    names = list(dict.fromkeys(known))
    near = similar(name.partition(":")[0], names)
    question = f"; did you mean {near!r}?" if near else ";"
    return f"{question} {label}: {', '.join(names) or 'none'}"


def similar(name: str, known: Iterable[str]) -> str:
    """The known name that is most similar, "" if none is."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)), "")
