"""`ipt status`: the logs of a folder's run (`ipt.folder.status`) as a table or JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ipt.cli.console import data, echo_json

if TYPE_CHECKING:
    from ipt.folder.status import Status

_INTERVAL = 2.0
"""Seconds between two readings with --watch."""
_EPILOG = """The logs of all shards in OUT/log are read, while they run or afterwards. A shard whose process was killed
is "stopped", and its pictures are missing until it is started again. --json --watch writes one line per reading."""


@click.command(epilog=_EPILOG)
@click.argument("out")
@click.option("--watch", is_flag=True, help="Read again every two seconds until nothing is running or missing.")
@click.option("--json", "as_json", is_flag=True, help="Write the status to standard output as JSON.")
def status(out: str, watch: bool, as_json: bool) -> None:
    """Show the progress of the run that writes into the folder OUT."""
    from ipt.folder.status import read_status

    first = read_status(Path(out))
    if not watch:
        if as_json:
            echo_json(first.document())
        else:
            data().print(_page(first))
        return
    if as_json:
        for found in _until_complete(out, first):
            click.echo(json.dumps(found.document()))
        return
    from rich.live import Live

    # Without a terminal, rich prints only the last page.
    with Live(_page(first), console=data(), auto_refresh=False) as live:
        for found in _until_complete(out, first):
            live.update(_page(found), refresh=True)


def _until_complete(out: str, found: Status) -> Iterator[Status]:
    from ipt.folder.status import read_status

    yield found
    while not found.complete:
        time.sleep(_INTERVAL)
        found = read_status(Path(out))
        yield found


def _page(found: Status) -> Any:
    from rich.console import Group
    from rich.table import Table

    parts: list[Any] = [
        f"{found.done} of {found.total} done, {found.failed} failed, {found.running} running, {found.missing} missing"
    ]
    if found.rate is not None and found.seconds_left is not None:
        parts.append(f"{_rate(found.rate)}, about {_duration(found.seconds_left)} left")
    table = Table(box=None, pad_edge=False)
    table.add_column("shard")
    table.add_column("state")
    for name in ("pictures", "done", "failed", "rate", "last heard"):
        table.add_column(name, justify="right")
    for shard in found.shards:
        ended = "ended" if shard.ended else "stopped"
        rate = "" if shard.rate is None else _rate(shard.rate)
        counts = [str(count) for count in (shard.own, shard.done, shard.failed)]
        table.add_row(shard.shard, "running" if shard.alive else ended, *counts, rate, f"{_duration(shard.last)} ago")
    parts.append(table)
    parts += [f"{name}: {reason}" for name, reason in sorted(found.failures.items())]
    return Group(*parts)


def _rate(rate: float) -> str:
    return f"{rate:.2f} a second" if rate >= 1 else f"{60 * rate:.2f} a minute"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
