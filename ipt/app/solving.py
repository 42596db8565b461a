"""One solve, in a thread of its own: how far it is, how it is stopped, and what comes out."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ipt
from ipt.images.outcomes import Progress
from ipt.images.pictures import screen_picture
from ipt.report.embedding import data_uri
from ipt.report.report import write_report


class Stopped(Exception):
    """Whoever watches wants no more of it."""


@dataclass(frozen=True)
class Result:
    """What can be chosen from, a result or one of its draws; files: by what they are."""

    label: str
    files: Mapping[str, Path]
    verdict: str


class Solve:
    """How far a solve is, for the page to read, and `stop` to be set."""

    def __init__(self) -> None:
        self.share, self.text, self.stop, self._started = 0.0, "Preparing", threading.Event(), time.monotonic()
        self.preview: str | None = None
        self._shown = 0.0

    def hear(self, progress: Progress) -> None:
        """A step is done."""
        if self.stop.is_set():
            raise Stopped
        self.share, now = progress.part, time.monotonic()
        minutes, seconds = divmod(round((now - self._started) * (1 - self.share) / self.share), 60)
        self.text = f"Step {progress.done} of {progress.total}, about {minutes} min {seconds} s left"
        if progress.estimate is not None and now - self._shown > 0.7:
            self._shown, self.preview = now, data_uri(screen_picture(progress.estimate()["image"]))

    def expect(self, cost: object) -> None:
        """About what it takes."""
        self.text = f"This takes {cost}"

    def run(self, picture: Any, out: Path, name: str, arguments: Mapping[str, Any]) -> list[Result]:
        """Solve, and write files and report: the result and each of its draws; errors are those of `ipt.restore`."""
        restored = ipt.restore(picture, progress=self.hear, cost=self.expect, **arguments)
        files, found = restored.save(out, name), []
        write_report(out)
        for number, chance in enumerate((restored.probability, *(draw.probability for draw in restored.draws))):
            role = f"sample {number}" if number else "result"
            own = {"result": files[role], "input": files["measurement"]}
            shown = {name: files.get(f"{role}-{name}", files.get(name)) for name in (*restored.parameters, "residual")}
            label = role.replace("sample", "draw") + ("" if chance is None else f", {chance:.0%}")
            found.append(Result(label, own | {name: path for name, path in shown.items() if path}, restored.verdict))
        return found


def plain(message: str) -> str:
    """A message of the library without its signs for arguments: "seed=" is "seed", and "fit=crop" is "fit: crop"."""
    return re.sub(r"\b([a-z_.]+)=(\w?)", lambda found: f"{found[1]}: {found[2]}" if found[2] else found[1], message)
