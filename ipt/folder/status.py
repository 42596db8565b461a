"""The status of a folder's run, read from the logs of all its shards (`ipt.folder.log`).

A log may end in the middle of a line if its process was killed; such a line is ignored.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ipt.core.errors import IptError
from ipt.folder.log import FOLDER, is_alive


@dataclass(frozen=True)
class ShardStatus:
    """The status of the last process of a shard.

    Attributes:
        shard: such as "3/64".
        alive: whether the process is running.
        ended: whether the process ended by itself, and was not killed.
        own: number of pictures in the shard.
        done: of these, solved by this process or found finished.
        failed: of these, failed in this process.
        rate: pictures solved per second; None before the first.
        last: seconds since the last line of the log.
    """

    shard: str
    alive: bool
    ended: bool
    own: int
    done: int
    failed: int
    rate: float | None
    last: float


@dataclass(frozen=True)
class Status:
    """The status of a folder's run.

    Attributes:
        total: number of pictures, done + failed + running + missing.
        done: solved.
        failed: not solvable.
        running: being solved.
        missing: not begun, or interrupted.
        rate: pictures per second of all running shards; None if nothing is running, or solved yet.
        seconds_left: at that rate.
        shards: one per log.
        failures: the reason of each failed picture, by name.
    """

    total: int
    done: int
    failed: int
    running: int
    missing: int
    rate: float | None
    seconds_left: float | None
    shards: Sequence[ShardStatus]
    failures: Mapping[str, str]

    @property
    def complete(self) -> bool:
        """Whether every picture is done or has failed."""
        return self.running == self.missing == 0

    def document(self) -> dict[str, Any]:
        """All fields, for JSON."""
        return asdict(self)


def read_status(out: Path) -> Status:
    """The status of the folder's run in `out`; IptError if it has no logs."""
    logs = {path: events for path in sorted(out.glob(f"{FOLDER}/*.jsonl")) if (events := _events(path))}
    if not logs:
        trouble = "has no logs of a run (log/*.jsonl)" if out.is_dir() else "is no folder"
        raise IptError(f"{out} {trouble}; give the folder OUT of `ipt solve FOLDER -o OUT`")
    ended = sorted(_ended(logs.values()), key=lambda event: event["time"])
    last = {event["name"]: event for event in ended}
    shards: list[ShardStatus] = []
    running: set[str] = set()
    for path, events in logs.items():
        shard, begun = _shard(path, _last_run(events))
        shards.append(shard)
        running |= begun
    failures = {
        name: str(event.get("reason", ""))
        for name, event in last.items()
        if event["event"] == "failed" and name not in running
    }
    done = sum(event["event"] != "failed" and name not in running for name, event in last.items())
    starts = [_last_run(events)[0] for events in logs.values()]
    total = max(starts, key=lambda event: event["time"])["total"]
    missing = max(0, total - done - len(failures) - len(running))
    rates = [shard.rate for shard in shards if shard.alive and shard.rate]
    rate = sum(rates) if rates else None
    return Status(
        total=total,
        done=done,
        failed=len(failures),
        running=len(running),
        missing=missing,
        rate=rate,
        seconds_left=None if rate is None else (missing + len(running)) / rate,
        shards=shards,
        failures=failures,
    )


def shards_running(out: Path) -> bool:
    """Whether a process is solving into the folder; false if there is no log."""
    return any(is_alive(path, _events(path)) for path in out.glob(f"{FOLDER}/*.jsonl"))


def _events(path: Path) -> list[dict[str, Any]]:
    """The complete lines of a log, from the first "start" on."""
    found: list[dict[str, Any]] = []
    for line in path.read_bytes().splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and {"event", "time"} <= event.keys() and (found or event["event"] == "start"):
            found.append(event)
    return found


def _ended(logs: Iterable[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [event for events in logs for event in events if event["event"] in ("done", "skipped", "failed")]


def _last_run(events: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    start = max(number for number, event in enumerate(events) if event["event"] == "start")
    return events[start:]


def _shard(path: Path, events: Sequence[dict[str, Any]]) -> tuple[ShardStatus, set[str]]:
    """The status of the last process of a log, and the pictures that it is solving; events: of that process."""
    start = events[0]
    ended = _ended([events])
    solved = [event for event in ended if event["event"] == "done"]
    alive = is_alive(path, events)
    begun: set[str] = set()
    # A process with several workers solves several batches at a time.
    for event in events if alive else ():
        if event["event"] == "batch":
            begun |= set(event["names"])
        else:
            begun.discard(event.get("name", ""))
    rate = None
    if solved:
        first = next((event["time"] for event in events if event["event"] == "batch"), start["time"])
        rate = len(solved) / max(1e-3, solved[-1]["time"] - first)
    failed = len([event for event in ended if event["event"] == "failed"])
    status = ShardStatus(
        shard="{}/{}".format(*start["shard"]),
        alive=alive,
        ended=events[-1]["event"] == "end",
        own=start["own"],
        done=len(ended) - failed,
        failed=failed,
        rate=rate,
        last=round(max(0.0, time.time() - events[-1]["time"]), 1),
    )
    return status, begun
