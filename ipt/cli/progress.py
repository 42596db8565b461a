"""Progress of a run on standard error: a line for each picture, and on a terminal bars for the batch and the folder."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

from ipt.cli.console import notes, printable
from ipt.cli.errors import with_options

if TYPE_CHECKING:
    from rich.progress import TaskID

    from ipt.images.outcomes import Outcome, Progress


class Reporter:
    """A `ipt.images.outcomes.ProgressListener` that prints; a context, which removes the bars at its end."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self._console = notes()
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[count]}"),
            TextColumn("{task.fields[status]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._batch: TaskID | None = None
        self._folder: TaskID | None = None
        self._count = 1
        self._total = 1
        self._ended = 0
        self._failed = 0
        self._skipped: list[str] = []

    def __enter__(self) -> Reporter:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._say_skipped()
        self._bars.stop()

    def begin(self, name: str, number: int, total: int, count: int = 1) -> None:
        self._total = total
        if total > 1 and self._folder is None:
            self._folder = self._bars.add_task("all pictures", total=total, status="", count=f"0/{total}")
        self._say_skipped()
        self._remove_batch()
        self._ended, self._count = number - 1, count
        self._batch = self._bars.add_task(printable(name), total=None, status="", count="")
        self._advance(0.0)

    def step(self, progress: Progress) -> None:
        if self._batch is None:
            return
        status = f"residual {progress.residual:.2f} x noise"
        # The share of work, not of steps, gives the time that is left: steps of small pictures are quick.
        share = progress.done / progress.total if progress.share is None else progress.share
        self._bars.update(
            self._batch, total=1, completed=share, status=status, count=f"{progress.done}/{progress.total}"
        )
        self._advance(self._count * share)

    def end(self, outcome: Outcome) -> None:
        self._ended, self._count = self._ended + 1, self._count - 1
        if self._count <= 0:
            self._remove_batch()
        self._failed += outcome.status == "failed"
        self._advance(max(0, self._count))
        if outcome.status == "failed":
            self.note(f"{outcome.name}: failed: {outcome.reason}", style="red")
        elif outcome.status == "skipped":
            self._skipped.append(outcome.name)
        else:
            self._describe(outcome)

    def note(self, text: str, style: str = "") -> None:
        self._console.print(printable(with_options(text)), style=style, soft_wrap=True)

    def _advance(self, within: float) -> None:
        """Show how many pictures of the folder are done; within: of the batch, as a fraction of its pictures' steps."""
        if self._folder is not None:
            status = f"{self._failed} failed" if self._failed else ""
            done = self._ended + within
            count = f"{done:.0f}/{self._total}"
            self._bars.update(self._folder, completed=done, status=status, count=count)

    def _say_skipped(self) -> None:
        """One line for all skipped pictures: a folder may have many."""
        if self._skipped:
            more = f" and {len(self._skipped) - 1} more" if len(self._skipped) > 1 else ""
            self.note(f"{self._skipped[0]}{more}: done before with the same options; --force solves again")
            self._skipped = []

    def _remove_batch(self) -> None:
        if self._batch is not None:
            self._bars.remove_task(self._batch)
            self._batch = None

    def _describe(self, outcome: Outcome) -> None:
        from ipt.report.formatting import number_list
        from ipt.solve.verdict import is_good

        record = outcome.record
        if "verdict" not in record:
            self.note(f"{outcome.name}: done")
            return
        noise = f"noise {record['noise_of_input']:.4f} {record['noise_from']}"
        if record["noise_from"] == "estimated" and record["noise"] > record["noise_of_input"]:
            noise += f", {record['noise']:.4f} assumed"
        parts = [f"{record['seconds']:.1f} s", noise]
        metrics = record["metrics"]
        if "bits used" in record["source"]:
            parts.append(record["source"].partition(", ")[2])
        if "psnr" in metrics:
            before = f"{_decibels(metrics['psnr_input'])} -> " if "psnr_input" in metrics else ""
            parts.append(f"PSNR {before}{_decibels(metrics['psnr'])} dB")
        correlations = {name.removesuffix("_mnc"): value for name, value in metrics.items() if name.endswith("_mnc")}
        parts += [f"{name} MNC {value:.3f}" for name, value in correlations.items()]
        for name, found in record.get("parameters", {}).items():
            off = f" (off by {metrics[f'{name}_error']:.2g})" if f"{name}_error" in metrics else ""
            parts.append(f"{name} {number_list(found['values'])} {found['unit']}".rstrip() + off)
        self.note(f"{outcome.name}: {', '.join(parts)}")
        self.note(f"{outcome.name}: {record['verdict']}", style="" if is_good(record["verdict"]) else "yellow")


def _decibels(value: float | None) -> str:
    # JSON has no infinity: the PSNR of two equal pictures is null in a record.
    return "inf" if value is None else f"{value:.2f}"
