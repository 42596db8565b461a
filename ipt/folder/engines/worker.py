"""What a worker process does, whatever started it: it builds the run once, solves what it is given, and reports.

Reports are small and can be pickled. A call ends with Idle, when the worker waits for work, or with Broken.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ipt.core.errors import IptError
from ipt.folder import pins
from ipt.folder.options import ExecutionOptions
from ipt.folder.shift import Shift
from ipt.folder.work import Job, Run
from ipt.images.outcomes import Outcome, Progress
from ipt.plugins.registry import one_line
from ipt.solve.options import SolveOptions

_SECONDS_BETWEEN_STEPS = 0.2
"""Progress is reported no more often than that."""


@dataclass(frozen=True)
class Begun:
    """A batch of these pictures is being solved."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Note:
    """Something a person should know."""

    text: str


@dataclass(frozen=True)
class Idle:
    """The worker has nothing to do."""


@dataclass(frozen=True)
class Broken:
    """An error that would have ended a run in one process, and ends this one; text: the whole message."""

    text: str


@dataclass(frozen=True)
class Lost:
    """The worker is gone, for that reason; whoever watches over it says so."""

    reason: str


Report = Outcome | Progress | Begun | Note | Idle | Broken | Lost
Tell = Callable[[Report], None]


@dataclass(frozen=True)
class Setup:
    """What every worker of a run is told. out: an absolute path, the same folder for all."""

    options: SolveOptions
    execution: ExecutionOptions
    out: Path


class Worker:
    """Solves in this process what it is given; tell: gets all its reports."""

    def __init__(self, tell: Tell):
        self.tell = tell

    def start(self, setup: Setup) -> None:
        """Build what solves. Broken: it cannot be, or not as in the folder's run.yaml (other versions or weights)."""

        def begin() -> None:
            run = Run.of(setup.options, setup.execution, setup.out)
            if not (setup.out / "run.yaml").is_file():
                raise IptError(
                    f"a worker does not see {setup.out}; all machines need the input and the output under the same path"
                )
            pins.check(setup.out, pins.pins(setup.options, run.solver.priors), force=False)
            self._shift = Shift(run, _Voice(self.tell), lambda names: self.tell(Begun(tuple(names))))

        self._said(begin)

    def solve(self, jobs: Sequence[Job], resume: bool) -> None:
        """An Outcome of each job. resume: from their states, if there are some."""

        def work() -> None:
            for outcome in self._shift.outcomes(jobs, resume):
                self.tell(outcome)

        self._said(work)

    def _said(self, act: Callable[[], None]) -> None:
        try:
            act()
        except IptError as error:
            self.tell(Broken(str(error)))
        except Exception as error:
            said = f"a worker failed: {one_line(error)}\nSet --engine local:1 and IPT_TRACEBACK=1 to see where."
            self.tell(Broken(said))
        else:
            self.tell(Idle())


class _Voice:
    """A `Watcher` that reports."""

    def __init__(self, tell: Tell):
        self.tell = tell
        self._stepped = 0.0

    def begin(self, name: str, number: int, total: int, count: int = 1) -> None:
        """Said with all the names (Begun)."""

    def step(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.done == progress.total or now - self._stepped >= _SECONDS_BETWEEN_STEPS:
            self._stepped = now
            self.tell(progress)

    def end(self, outcome: Outcome) -> None:
        """Said by the one who gets the reports."""

    def note(self, text: str) -> None:
        self.tell(Note(text))
