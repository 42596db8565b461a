"""Names of files: bytes, of which a file system takes so many; not all of them are UTF-8."""

from __future__ import annotations

import hashlib
import os

MOST = 200
"""Bytes of a result's first part: what follows it, as in .sample12-kernel.png, is to fit into the usual 255."""
HIDDEN = 100
"""Bytes of a name that a hidden file shows of it."""


def fitting(name: str) -> str:
    """A name that leaves room for what is appended to it; a longer one is cut, and ends with a digest of the whole."""
    if len(os.fsencode(name)) <= MOST:
        return name
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
    return f"{beginning(name, MOST - len(digest) - 1)}-{digest}"


def beginning(name: str, most: int = HIDDEN) -> str:
    """As many of the first characters as fit into so many bytes."""
    while len(os.fsencode(name)) > most:
        name = name[:-1]
    return name
