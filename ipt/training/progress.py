"""`Report`, the progress of a training, and how it is written as lines of text."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Report:
    """Progress after a step.

    Attributes:
        images: examples seen.
        total: examples of the whole training.
        loss: the smoothed loss.
        rate: examples per second.
        validation: mean squared error by noise level, if this step was followed by a validation.
    """

    images: int
    total: int
    loss: float
    rate: float
    validation: dict[float, float] | None = None


class Lines:
    """Writes the first and the last report as lines, others at most every `every` seconds, and validations as tables.

    Args:
        write: Called with each line.
        every: Seconds between lines.
        clock: A monotonic clock, in seconds.
    """

    def __init__(self, write: Callable[[str], None], every: float, clock: Callable[[], float] = time.monotonic):
        self._write, self._every, self._clock = write, every, clock
        self._last = -math.inf

    def show(self, report: Report) -> None:
        """Write a report, if it is time for one."""
        ended = report.images >= report.total
        if ended or report.validation or self._clock() - self._last >= self._every:
            self._last = self._clock()
            self._write(line(report))
        if report.validation:
            for row in [("sigma", "mse", "PSNR"), *validation_rows(report.validation)]:
                self._write("  " + "  ".join(f"{cell:>9}" for cell in row))


def line(report: Report) -> str:
    """`12,000 of 200,000 images (6 %), loss 0.2381, 19.4 images/s, 2 h 41 min left`."""
    share = 100 * report.images / report.total
    return (
        f"{report.images:,} of {report.total:,} images ({share:.0f} %), loss {report.loss:.4f}, "
        f"{report.rate:.3g} images/s, {time_left(report)} left"
    )


def time_left(report: Report) -> str:
    """`2 h 41 min`, `12 min`, `40 s`, or `?` where the rate is not known yet."""
    if report.rate <= 0:
        return "?"
    seconds = max(0, report.total - report.images) / report.rate
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def validation_rows(validation: Mapping[float, float]) -> list[tuple[str, str, str]]:
    """Noise level, mean squared error and PSNR as texts, for values in -1..1."""
    return [
        (f"{sigma:g}", f"{error:.3g}", f"{10 * math.log10(4 / error):.2f} dB" if error > 0 else "exact")
        for sigma, error in sorted(validation.items())
    ]
