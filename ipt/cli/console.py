"""Where the command line writes: data to standard output, everything else to standard error."""

from __future__ import annotations

import json
import re
import sys
from typing import IO, TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

_UNBROKEN = 10_000
"""Columns where the output is no terminal: a file or a pipe gets one line a row, never wrapped."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def data() -> Console:
    """Standard output, for tables that people read."""
    return _console(sys.stdout)


def notes() -> Console:
    """Standard error, for progress, hints and errors."""
    return _console(sys.stderr)


def echo_json(value: Any) -> None:
    """`value` on standard output, for programs; ASCII only, so that any terminal and pipe takes it."""
    click.echo(json.dumps(value, indent=2))


def printable(text: str) -> str:
    """A text with its control characters escaped, which file names may hold; line breaks stay."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def _console(stream: IO[str]) -> Console:
    # Imported here: `ipt --help` writes nothing through rich. Rich itself honours NO_COLOR.
    from rich.console import Console

    width = None if stream.isatty() else _UNBROKEN
    return Console(file=stream, width=width, markup=False, emoji=False, highlight=False)
