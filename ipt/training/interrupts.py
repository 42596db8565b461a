"""Ctrl-C and SIGTERM as a wish to stop, rather than as an end in the middle."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Caught:
    """The signal that came, if any."""

    number: int | None = None

    @property
    def exit_code(self) -> int:
        """0 where none came; else 128 + its number, as shells count: 130 for Ctrl-C."""
        return 0 if self.number is None else 128 + self.number


@contextmanager
def caught(stop: Callable[[], None]) -> Iterator[Caught]:
    """Within the block SIGINT and SIGTERM call `stop`, the first time; a second one has its usual effect."""
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
