"""A worker, whatever process it is in: it builds a pipeline once, solves inputs, and sends messages.

Messages are small and can be pickled. A call ends with the message Idle (the worker waits for inputs) or Fatal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ipt.core.errors import IptError
from ipt.folder import pins
from ipt.folder.inputs import InputImage
from ipt.folder.options import ExecutionOptions
from ipt.folder.pipeline import Pipeline
from ipt.folder.serial import SerialBackend
from ipt.images.outcomes import Outcome, Progress
from ipt.plugins.faults import located
from ipt.solve.options import SolveOptions

_SECONDS_BETWEEN_STEPS = 0.2
"""Least time between two progress messages."""


@dataclass(frozen=True)
class BatchStarted:
    """A batch of these pictures is being solved."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Note:
    """Something a person should know."""

    text: str


@dataclass(frozen=True)
class Idle:
    """The worker waits for inputs."""


@dataclass(frozen=True)
class Fatal:
    """An error that ends the run."""

    text: str


@dataclass(frozen=True)
class Lost:
    """The worker's process has ended, for that reason; sent by its pool."""

    reason: str


Message = Outcome | Progress | BatchStarted | Note | Idle | Fatal | Lost
Send = Callable[[Message], None]


@dataclass(frozen=True)
class WorkerSetup:
    """The arguments of every worker of a run.

    Attributes:
        options: of the run.
        execution: how the run is executed.
        out: the folder of the results, an absolute path.
        shape: (C, H, W) of one of the pictures; None: not known.
    """

    options: SolveOptions
    execution: ExecutionOptions
    out: Path
    shape: tuple[int, ...] | None = None


class Worker:
    """Solves inputs in this process; send: called with each of its messages."""

    def __init__(self, send: Send):
        self.send = send

    def start(self, setup: WorkerSetup) -> None:
        """Build the pipeline; sends Fatal if that fails, or versions or weights differ from run.yaml."""

        def start() -> None:
            pipeline = Pipeline.build(setup.options, setup.execution, setup.out, setup.shape)
            if not (setup.out / "run.yaml").is_file():
                raise IptError(
                    f"a worker does not see {setup.out}; all machines need the input and the output under the same path"
                )
            pins.check(setup.out, pins.pins(setup.options, pipeline.weights), force=False)
            listener = _SendingListener(self.send)
            self._backend = SerialBackend(pipeline, listener, lambda names: self.send(BatchStarted(tuple(names))))

        self._run(start)

    def solve(self, inputs: Sequence[InputImage], resume: bool) -> None:
        """Solve inputs and send their outcomes; resume: continue from their checkpoints."""

        def solve() -> None:
            for outcome in self._backend.outcomes(inputs, resume):
                self.send(outcome)

        self._run(solve)

    def _run(self, act: Callable[[], None]) -> None:
        try:
            act()
        except IptError as error:
            self.send(Fatal(str(error)))
        except Exception as error:
            advice = "Set engine=local:1 and IPT_TRACEBACK=1 to see where."
            self.send(Fatal(f"a worker failed: {located(error)}\n{advice}"))
        else:
            self.send(Idle())


class _SendingListener:
    """A `ProgressListener` that sends steps and notes; the worker itself sends batches and outcomes."""

    def __init__(self, send: Send):
        self.send = send
        self._sent = 0.0

    def begin(self, name: str, number: int, total: int, count: int = 1) -> None:
        """Nothing: the worker sends BatchStarted."""

    def step(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.done == progress.total or now - self._sent >= _SECONDS_BETWEEN_STEPS:
            self._sent = now
            self.send(replace(progress, estimate=None))

    def end(self, outcome: Outcome) -> None:
        """Nothing: the worker sends the outcome."""

    def note(self, text: str) -> None:
        self.send(Note(text))
