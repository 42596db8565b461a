"""How a run goes, on standard error: a live line on a terminal, else a line a picture."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

from ipt.cli.console import notes

if TYPE_CHECKING:
    from rich.progress import TaskID

    from ipt.runs.jobs import Outcome
    from ipt.runs.solving import Progress


class Reporter:
    """A `ipt.runs.jobs.Watcher` for people; a context, so that the live line goes whatever happens."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self._console = notes()
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[residual]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Reporter:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def begin(self, name: str, number: int, total: int) -> None:
        place = f"{number}/{total} " if total > 1 else ""
        self._task = self._bars.add_task(f"{place}{name}", total=None, residual="")

    def step(self, progress: Progress) -> None:
        if self._task is not None:
            said = f"residual {progress.residual:.2f} x noise"
            self._bars.update(self._task, total=progress.total, completed=progress.done, residual=said)

    def end(self, outcome: Outcome) -> None:
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None
        if outcome.status == "failed":
            self.note(f"{outcome.name}: failed: {outcome.reason}", style="red")
        elif outcome.status == "skipped":
            self.note(f"{outcome.name}: done before with the same options; --force solves it again")
        else:
            self._said(outcome)

    def note(self, text: str, style: str = "") -> None:
        self._console.print(text, style=style, soft_wrap=True)

    def _said(self, outcome: Outcome) -> None:
        record = outcome.record
        if "verdict" not in record:
            self.note(f"{outcome.name}: done")
            return
        parts = [f"{record['seconds']:.1f} s", f"noise {record['noise_of_input']:.4f} {record['noise_from']}"]
        metrics = record["metrics"]
        if "psnr" in metrics:
            parts.append(f"PSNR {_decibels(metrics['psnr_input'])} -> {_decibels(metrics['psnr'])} dB")
        correlations = {name.removesuffix("_mnc"): value for name, value in metrics.items() if name.endswith("_mnc")}
        parts += [f"{name} MNC {value:.3f}" for name, value in correlations.items()]
        self.note(f"{outcome.name}: {', '.join(parts)}")
        fits = record["verdict"].startswith("fits:")
        self.note(f"{outcome.name}: {record['verdict']}", style="" if fits else "yellow")


def _decibels(value: float | None) -> str:
    # JSON has no infinity: of two equal pictures the record says null.
    return "inf" if value is None else f"{value:.2f}"
