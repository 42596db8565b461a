"""One solve of the page, run in a thread: its progress and preview, a way to stop it, and its results."""

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
    """The visitor has stopped the solve."""


@dataclass(frozen=True)
class Result:
    """A result, or one of its draws.

    Attributes:
        label: What it is, with its probability.
        files: By role.
        verdict: In words.
    """

    label: str
    files: Mapping[str, Path]
    verdict: str


class Solve:
    """A solve: `share`, `text` and `preview` are for the page to read; setting `stop` ends it at the next step."""

    def __init__(self) -> None:
        self.share, self.text, self.stop, self._started = 0.0, "Preparing", threading.Event(), time.monotonic()
        self.preview: str | None = None
        self._shown = 0.0

    def on_step(self, progress: Progress) -> None:
        """Record the progress after a step; Stopped if the visitor has stopped the solve."""
        if self.stop.is_set():
            raise Stopped
        self.share, now = progress.part, time.monotonic()
        minutes, seconds = divmod(round((now - self._started) * (1 - self.share) / self.share), 60)
        self.text = f"Step {progress.done} of {progress.total}, about {minutes} min {seconds} s left"
        if progress.estimate is not None and now - self._shown > 0.7:
            self._shown, self.preview = now, data_uri(screen_picture(progress.estimate()["image"]))

    def on_cost(self, cost: object) -> None:
        """Show the estimated cost."""
        self.text = f"This takes {cost}"

    def run(self, picture: Any, out: Path, name: str, arguments: Mapping[str, Any]) -> list[Result]:
        """Solve, and write the files and the report.

        Args:
            picture: as of `ipt.restore`.
            out: the folder of the results.
            name: what the names of the files begin with.
            arguments: other arguments of `ipt.restore`, whose errors are raised.

        Returns:
            The result, and each of its draws.
        """
        restored = ipt.restore(picture, progress=self.on_step, cost=self.on_cost, **arguments)
        files, results = restored.save(out, name), []
        write_report(out)
        probabilities = [restored.probability, *(draw.probability for draw in restored.draws)]
        for number, probability in enumerate(probabilities):
            role = f"sample {number}" if number else "result"
            shown = {"result": files[role], "input": files["measurement"]}
            for other in (*restored.parameters, "residual"):
                if path := files.get(f"{role}-{other}", files.get(other)):
                    shown[other] = path
            label = role.replace("sample", "draw") + ("" if probability is None else f", {probability:.0%}")
            results.append(Result(label, shown, restored.verdict))
        return results


def plain(message: str) -> str:
    """A message with the library's arguments in words: "seed=" is "seed", and "fit=crop" is "fit: crop"."""
    return re.sub(r"\b([a-z_.]+)=(\w?)", lambda found: f"{found[1]}: {found[2]}" if found[2] else found[1], message)
