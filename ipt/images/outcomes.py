"""Progress and outcome of a picture, and `ProgressListener`, the interface that receives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Progress:
    """Progress of a solve after a step.

    Attributes:
        done: steps that are done.
        total: steps in all.
        residual: root mean square of the residual over the noise level.
        share: of the work that is done, 0..1 (steps of a smaller picture are less work); None: not known.
        estimate: a function for the current estimate: "image", (C, H, W) in about 0..1, smaller while the solve is at a
            coarser size; and every parameter by name, (C, H, W). For a large picture solved in parts, a reduced preview
            of all of it, with the measurement where nothing is solved yet. None: the solve is in another process.
    """

    done: int
    total: int
    residual: float
    share: float | None = None
    estimate: Callable[[], Mapping[str, Tensor]] | None = field(default=None, compare=False)

    @property
    def part(self) -> float:
        """The share of the work that is done; if it is not known, the share of the steps."""
        return self.done / self.total if self.share is None else self.share


@dataclass(frozen=True)
class Outcome:
    """How one picture of a run ended.

    Attributes:
        name: of the picture.
        status: "done", "skipped" (its result existed) or "failed".
        record: the contents of its .json.
        reason: why it failed.
    """

    name: str
    status: str
    record: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""


class ProgressListener(Protocol):
    """Receives the progress of a run."""

    def begin(self, name: str, number: int, total: int, count: int = 1) -> None:
        """Picture `number` (from 1) of `total` is next, or a batch of `count` pictures; `name` says which."""

    def step(self, progress: Progress) -> None:
        """A step of the solve is done."""

    def end(self, outcome: Outcome) -> None:
        """A picture has ended."""

    def note(self, text: str) -> None:
        """A message for people."""
