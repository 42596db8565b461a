"""A shard's log: OUT/log/3-of-64.jsonl, a JSON object a line, appended as things happen.

    {"event": "start", "time": ..., "shard": [3, 64], "total": 70000, "own": 1094, "host": ..., "pid": ...,
     "locked": true}
    {"event": "batch", "time": ..., "names": ["00002.png", "00066.png"]}
    {"event": "done" | "skipped", "time": ..., "name": "00002.png"}
    {"event": "failed", "time": ..., "name": "00066.png", "reason": ...}
    {"event": "end", "time": ...}

Each process writes a file of its own, and holds a lock on it while it runs: so no two processes write the same file,
and others can tell whether the process is alive. Times are in seconds since 1970.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal

from ipt.core.errors import IptError
from ipt.folder.shards import Shard
from ipt.images.atomic import write_error

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FOLDER = "log"
_TRIES = 20
_SILENCE = 600.0
"""Seconds without a new line after which a process counts as dead, on file systems without locks."""


class Log:
    """A context that holds and writes the log of a shard.

    Args:
        out: the folder of the results.
        shard: whose log it is.
        total: number of pictures in the folder.
        own: number of pictures in this shard.

    Raises:
        IptError: another process is solving the same shard, or the log cannot be written.
    """

    def __init__(self, out: Path, shard: Shard, total: int, own: int):
        self.path = out / FOLDER / f"{shard.number}-of-{shard.count}.jsonl"
        try:
            self.path.parent.mkdir(exist_ok=True)
            self._file = self.path.open("ab+")
        except OSError as error:
            raise write_error(self.path, error) from error
        lock = _lock(self._file)
        for _ in range(_TRIES):
            if lock != "taken":
                break
            # `is_alive` in another process takes the lock for a moment.
            time.sleep(0.05)
            lock = _lock(self._file)
        if lock == "taken":
            self._file.close()
            raise IptError(
                f"another process is solving shard {shard} into {out}; wait for it, or give this one another shard="
            )
        if not _ends_a_line(self._file):
            # The previous process was killed in the middle of a line.
            self._file.write(b"\n")
        place = {"host": platform.node(), "pid": os.getpid(), "locked": lock == "ours"}
        self.write("start", shard=[shard.number, shard.count], total=total, own=own, **place)

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # If this line cannot be written, the error that ended the run, such as a full disk, is the one to report.
        with self._file, suppress(IptError):
            self.write("end")

    def write(self, event: str, **values: Any) -> None:
        """Append an event with its values; IptError if the log cannot be written."""
        line = json.dumps({"event": event, "time": round(time.time(), 3), **values})
        try:
            self._file.write(line.encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise write_error(self.path, error) from error


def is_alive(path: Path, events: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the process that wrote the last lines of a log is still running."""
    if not events or events[-1]["event"] == "end":
        return False
    with path.open("rb") as file:
        lock = _lock(file, shared=True)
    return lock == "taken" or (lock == "none" and time.time() - events[-1]["time"] < _SILENCE)


def _lock(file: IO[bytes], shared: bool = False) -> Literal["ours", "taken", "none"]:
    """Try to lock a file until it is closed: "ours" if it worked, "taken" by another process, "none": no locks here."""
    if fcntl is None:
        return "none"
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        return "ours"
    except BlockingIOError:
        return "taken"
    except OSError:
        return "none"


def _ends_a_line(file: IO[bytes]) -> bool:
    if file.seek(0, os.SEEK_END) == 0:
        return True
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"
