"""Ctrl-C and SIGTERM end a training after the current step, and not within it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Caught:
    """The signal that was caught; number: None if there was none."""

    number: int | None = None

    @property
    def exit_code(self) -> int:
        """0 without a signal; else 128 + its number, as in shells: 130 for Ctrl-C."""
        return 0 if self.number is None else 128 + self.number


@contextmanager
def caught(stop: Callable[[], None]) -> Iterator[Caught]:
    """A context in which the first SIGINT or SIGTERM calls `stop`; a second one has its usual effect."""
    result = Caught()
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in usual.items():
            signal.signal(number, handler)

    def handle(number: int, frame: FrameType | None) -> None:
        result.number = number
        restore()
        stop()

    for number in usual:
        signal.signal(number, handle)
    try:
        yield result
    finally:
        restore()
