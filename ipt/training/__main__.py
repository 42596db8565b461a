"""Train from a description in a file, with torch and numpy as the only dependencies.

    python -m ipt.training options.json [--change]

`ipt.training.job` documents the file. The same command continues an interrupted training; Ctrl-C and SIGTERM save the
state first. The result is OUT/state.pt, from which `ipt train -o OUT --export` makes weights where ipt is installed.

Exit codes: 0 done, 1 error, 2 usage, 130 or 143 stopped by a signal.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ipt.core.errors import IptError, Misuse
from ipt.training.interrupts import caught
from ipt.training.job import trainer as trainer_of
from ipt.training.progress import Lines

_EVERY = 20.0
"""Seconds between lines."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m ipt.training", description="Train a diffusion prior; see ipt/training/job.py."
    )
    parser.add_argument("description", help="a JSON file with out, source, network and training")
    parser.add_argument("--change", action="store_true", help="continue even if options or examples differ from before")
    given = parser.parse_args(arguments)
    try:
        return _run(Path(given.description), given.change)
    except IptError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2 if isinstance(error, Misuse) else 1


def _run(file: Path, change: bool) -> int:
    try:
        job = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise IptError(f"{file} is not readable as JSON ({error}): see the head of ipt/training/job.py") from None
    if not isinstance(job, dict):
        raise IptError(f"{file} is not a table of names and values: see the head of ipt/training/job.py")

    log = partial(print, flush=True)
    trainer = trainer_of(job, change, log)
    lines = Lines(log, _EVERY)
    with caught(trainer.stop) as signal:
        for report in trainer.steps():
            lines.show(report)
    if signal.number is not None:
        log(f"stopped and saved at {trainer.images:,} images; run the same again to continue")
    else:
        log(f"done: {trainer.state_path}")
    return signal.exit_code


if __name__ == "__main__":
    sys.exit(main())
