"""The rows of a benchmark: an append-only file with one JSON object per line, so that no finished work is lost.

A row has an "identity", a digest of all that it depends on. A later line with the same identity adds values to it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ipt.images.atomic import write_error

Row = Mapping[str, Any]
"""The entries of a case and a solver: "solver", "case", "picture", "digest", "status", "reason", and numbers."""


class Rows:
    """The rows in a file, by identity."""

    def __init__(self, path: Path):
        self._path = path
        self._rows: dict[str, dict[str, Any]] = {}
        self._last: dict[tuple[str, str], str] = {}
        self._digests: dict[str, str] = {}
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        # After a kill in the middle of a line, the next one must begin on a new line.
        self._cut_line = bool(text) and not text.endswith("\n")
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
        """The latest row of a solver and a case, to which the files in the folder belong; None: there is none."""
        return self._rows.get(self._last.get((solver, case), ""))

    def digest(self, case: str) -> str | None:
        """The digest of a case's data, if it has been solved before."""
        return self._digests.get(case)

    def add(self, identity: str, values: Row) -> None:
        """Add values to a row; they are on the disk when this returns.

        Raises:
            IptError: The file cannot be written.
        """
        row = {"identity": identity, **values}
        line = ("\n" if self._cut_line else "") + json.dumps(row, ensure_ascii=False) + "\n"
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise write_error(self._path, error) from error
        self._cut_line = False
        self._merge(row)

    def _merge(self, row: dict[str, Any]) -> None:
        self._rows.setdefault(row["identity"], {}).update(row)
        if "case" in row:
            self._last[row["solver"], row["case"]] = row["identity"]
            self._digests[row["case"]] = row["digest"]
