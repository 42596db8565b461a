"""Names of files within the length that file systems allow, in bytes; names need not be UTF-8."""

from __future__ import annotations

import hashlib
import os

MOST = 200
"""The most bytes of a result's stem, so that with an ending such as .sample12-kernel.png it fits into the usual 255."""
HIDDEN = 100
"""The most bytes of a file's name that the name of its hidden partial file repeats."""


def fitting(name: str) -> str:
    """A name of at most `MOST` bytes; a longer one is cut and ends with a digest of the whole name."""
    if len(os.fsencode(name)) <= MOST:
        return name
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
    return f"{beginning(name, MOST - len(digest) - 1)}-{digest}"


def beginning(name: str, most: int = HIDDEN) -> str:
    """The longest beginning of a name that fits into `most` bytes."""
    while len(os.fsencode(name)) > most:
        name = name[:-1]
    return name
