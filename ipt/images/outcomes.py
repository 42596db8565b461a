"""What becomes of the pictures of a run, and who listens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Progress:
    """How far a solve is.

    Attributes:
        done: steps.
        total: steps.
        residual: root mean square, over the noise level.
    """

    done: int
    total: int
    residual: float


@dataclass(frozen=True)
class Outcome:
    """The end of one picture.

    Attributes:
        name: of the picture.
        status: "done", "skipped" (it was done before) or "failed".
        record: what its .json holds.
        reason: why it failed.
    """

    name: str
    status: str
    record: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""


class ProgressListener(Protocol):
    """What hears how a run goes."""

    def begin(self, name: str, number: int, total: int, count: int = 1) -> None:
        """Picture `number` (from 1) of `total` is next, or a batch of `count` pictures; `name` says which."""

    def step(self, progress: Progress) -> None:
        """A step of the solve is done."""

    def end(self, outcome: Outcome) -> None:
        """A picture is done with."""

    def note(self, text: str) -> None:
        """Something a person should know."""
