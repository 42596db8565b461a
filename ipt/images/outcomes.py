"""What becomes of the pictures of a run, and who listens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Progress:
    """How far a solve is.

    Attributes:
        done: steps.
        total: steps.
        residual: root mean square, over the noise level.
        share: of all work, 0..1; steps of a smaller picture are less of it. None: not known.
        estimate: what is believed now, made when it is called: "image" (C, H, W) in about 0..1, of a smaller size while
            the solve is at one, and every parameter by name, (C, H, W). Of a large picture that is solved in parts all
            of it, reduced, the measurement where nothing is solved yet. None: it is in another process.
    """

    done: int
    total: int
    residual: float
    share: float | None = None
    estimate: Callable[[], Mapping[str, Tensor]] | None = field(default=None, compare=False)

    @property
    def part(self) -> float:
        """The share, or where it is not known that of the steps."""
        return self.done / self.total if self.share is None else self.share


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
