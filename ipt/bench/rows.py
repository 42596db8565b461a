"""The rows of a benchmark: a file that only grows, a line of JSON a row, so that nothing done is lost or done again.

A row has an "identity", which names all that it depends on; a later line of the same identity adds to it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ipt.images.atomic import write_error

Row = Mapping[str, Any]
"""What is known of a case and a solver: "solver", "case", "picture", "digest", "status", "reason", and numbers."""


class Rows:
    """The rows in a file."""

    def __init__(self, path: Path):
        self._path = path
        self._rows: dict[str, dict[str, Any]] = {}
        self._last: dict[tuple[str, str], str] = {}
        self._digests: dict[str, str] = {}
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        # A run that was killed in the middle of a line leaves a stump, which the next line must not continue.
        self._stump = bool(text) and not text.endswith("\n")
        for line in text.splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict) and isinstance(row.get("identity"), str):
                self._merge(row)

    def __getitem__(self, identity: str) -> Row:
        return self._rows[identity]

    def __contains__(self, identity: str) -> bool:
        return identity in self._rows

    def last(self, solver: str, case: str) -> Row | None:
        """The row that was written last of a solver and a case: the one that the files in the folder belong to."""
        return self._rows.get(self._last.get((solver, case), ""))

    def digest(self, case: str) -> str | None:
        """Of the data of a case, where it has been solved before."""
        return self._digests.get(case)

    def add(self, identity: str, values: Row) -> None:
        """Add values to a row, on the disk when this returns.

        Raises:
            IptError: The file cannot be written.
        """
        row = {"identity": identity, **values}
        line = ("\n" if self._stump else "") + json.dumps(row, ensure_ascii=False) + "\n"
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise write_error(self._path, error) from error
        self._stump = False
        self._merge(row)

    def _merge(self, row: dict[str, Any]) -> None:
        self._rows.setdefault(row["identity"], {}).update(row)
        if "case" in row:
            self._last[row["solver"], row["case"]] = row["identity"]
            self._digests[row["case"]] = row["digest"]
