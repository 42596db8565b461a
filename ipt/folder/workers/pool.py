"""The backend that solves inputs by a pool of workers: chunks of inputs go to idle workers, and to others after a loss.

Every picture has one outcome. Which pictures are solved together depends on their order, their size and the number of
workers, not on the workers' speed.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol

from ipt.core.errors import IptError
from ipt.folder import checkpoints
from ipt.folder.inputs import InputImage
from ipt.folder.pipeline import Pipeline
from ipt.folder.serial import summary
from ipt.folder.workers.worker import BatchStarted, Fatal, Idle, Lost, Message, Note
from ipt.images.outcomes import Outcome, Progress, ProgressListener
from ipt.solve.outputs import settle
from ipt.solve.sizer import BatchSizer

_LOSSES = 3
"""Lost workers after which a picture has failed; after one less it is solved alone."""
_ASSUMED_SHAPE = (1, 1024, 1024)
"""Of a picture whose size cannot be read. It only sets the size of a chunk, which the worker splits by real sizes."""


class WorkerPool(Protocol):
    """Workers by number, from 0.

    Attributes:
        kind: of their devices, "cpu" or "cuda".
        size: the most workers.
    """

    kind: str
    size: int

    def start(self, number: int) -> None:
        """Start worker `number`, or a new one in its place; it sends Idle when it is ready."""

    def submit(self, number: int, inputs: Sequence[InputImage], resume: bool) -> None:
        """Give an idle worker inputs; its messages end with Idle, Fatal or Lost."""

    def receive(self) -> tuple[int, Message]:
        """Wait for the next message, and return it with its worker's number."""

    def close(self) -> None:
        """End all workers at once."""


@dataclass(frozen=True)
class Chunk:
    """Inputs that a worker gets together; resume: whether there may be a checkpoint to continue from."""

    inputs: tuple[InputImage, ...]
    resume: bool = False


class PoolBackend:
    """Solves inputs by a pool of workers, which is closed at the end.

    Args:
        pipeline: knows what is finished; the workers have pipelines of their own.
        listener: gets the progress.
        on_batch: called with the names of each batch before it is solved.
        alone: whether no other process works on this folder, so that all checkpoints can be removed at the end.
        pool: the workers.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        listener: ProgressListener,
        on_batch: Callable[[Sequence[str]], None],
        alone: bool,
        pool: WorkerPool,
    ):
        self.pipeline, self.listener, self.on_batch, self.alone, self.pool = pipeline, listener, on_batch, alone, pool
        self.again = pipeline.execution.force
        self._open: dict[str, InputImage] = {}
        self._chunks: deque[Chunk] = deque()
        self._busy: dict[int, Chunk] = {}
        self._idle: set[int] = set()
        self._batches: dict[int, Sequence[str]] = {}
        self._steps: dict[int, Progress] = {}
        self._losses: Counter[str] = Counter()
        self._total = self._stillborn = 0

    def outcomes(self, inputs: Sequence[InputImage]) -> Iterator[Outcome]:
        """An outcome for each input, as they end; IptError for an error that ends the run, or if no worker starts."""
        self._total = len(inputs)
        self._open = {image.name: image for image in inputs}
        for image in inputs:
            if record := {} if self.again else self._record(image):
                del self._open[image.name]
                yield Outcome(image.name, "skipped", record)
        with closing(self.pool):
            self._chunks.extend(self._divided(inputs))
            for number in range(min(self.pool.size, len(self._chunks))):
                self.pool.start(number)
            while self._open:
                yield from self._handle(*self.pool.receive())
        # Every input has an outcome, so that no checkpoint is needed any more.
        for path in checkpoints.paths(self.pipeline.out) if self.alone else ():
            checkpoints.remove(path)

    def _record(self, image: InputImage) -> Mapping[str, Any]:
        try:
            return self.pipeline.finished(image)
        except IptError:
            # An unreadable input is recorded by the worker that gets it.
            return {}

    def _divided(self, inputs: Sequence[InputImage]) -> Iterator[Chunk]:
        """Chunks of inputs: first the batches that a killed run has checkpoints of, then the others in their order.

        A chunk has at most as many inputs as are solved together, and less towards the end, so that the workers end at
        about the same time. Chunks are formed of all inputs, finished ones included, so that a run that is continued
        forms the same ones.
        """
        left = set(self._open)
        for path in [] if self.again else checkpoints.paths(self.pipeline.out):
            checkpoint = checkpoints.read(path)
            names = set(checkpoint.members) if checkpoint is not None else set()
            members = tuple(image for image in inputs if image.name in names)
            if len(members) == len(names) and names & left:
                yield Chunk(members, resume=True)
                left -= names
        sizer = BatchSizer(self.pipeline.execution.batch, self.pool.kind)
        start = 0
        while start < len(inputs):
            most = max(1, sizer.size(inputs[start].shape or _ASSUMED_SHAPE) // self.pipeline.options.samples)
            stop = start + min(most, -(-(len(inputs) - start) // self.pool.size))
            chunk = tuple(image for image in inputs[start:stop] if image.name in left)
            if chunk:
                yield Chunk(chunk)
            start = stop

    def _handle(self, number: int, message: Message) -> Iterator[Outcome]:
        match message:
            case Outcome():
                # After a worker is lost, a finished picture may be sent again.
                if self._open.pop(message.name, None) is not None:
                    yield message
            case BatchStarted():
                self._batches[number] = message.names
                self._steps.pop(number, None)
                self._begin()
                self.on_batch(message.names)
            case Progress():
                self._steps[number] = message
                self.listener.step(self._progress(message.residual))
            case Note():
                self.listener.note(message.text)
            case Fatal():
                raise IptError(message.text)
            case Idle():
                self._stillborn = 0
                self._forget(number)
                self._idle.add(number)
                self._submit()
            case Lost():
                yield from self._replace(number, message.reason)

    def _submit(self) -> None:
        while self._idle and self._chunks:
            number, chunk = min(self._idle), self._chunks.popleft()
            self._idle.remove(number)
            self._busy[number] = chunk
            self.pool.submit(number, chunk.inputs, chunk.resume)

    def _replace(self, number: int, reason: str) -> Iterator[Outcome]:
        """Put the pictures of a lost worker back into the queue and start another worker; yields those that failed."""
        chunk = self._forget(number)
        if chunk is None:
            self._stillborn += 1
            if self._stillborn > 2 * self.pool.size:
                raise IptError(f"workers end while they start ({reason}); see whether engine=local:1 works")
        images = [image for image in chunk.inputs if image.name in self._open] if chunk is not None else []
        settle(self.pipeline.out, [image.stem for image in images])
        self._losses.update(image.name for image in images)
        given_up = [image for image in images if self._losses[image.name] >= _LOSSES]
        images = [image for image in images if image not in given_up]
        if chunk is not None and images:
            names = summary([image.name for image in images])
            self.listener.note(f"A worker was lost ({reason}): {names} will be solved again.")
            if any(self._losses[image.name] == _LOSSES - 1 for image in images):
                self._chunks.extendleft(Chunk((image,), resume=True) for image in reversed(images))
            else:
                # With those that were done, since the checkpoint is of all of them; unless all is to be solved again.
                self._chunks.appendleft(Chunk(tuple(images) if self.again else chunk.inputs, resume=True))
        self._submit()
        if self._chunks:
            self.pool.start(number)
        for image in given_up:
            del self._open[image.name]
            error = IptError(
                f"{_LOSSES} workers were lost over it ({reason}); perhaps memory did not suffice, try fit=crop"
            )
            yield self.pipeline.failed(image, error)

    def _forget(self, number: int) -> Chunk | None:
        self._idle.discard(number)
        self._batches.pop(number, None)
        self._steps.pop(number, None)
        return self._busy.pop(number, None)

    def _begin(self) -> None:
        """Announce the batches of all workers as one."""
        names = [name for batch in self._batches.values() for name in batch if name in self._open]
        if names:
            workers = f", by {len(self._batches)} workers" if len(self._batches) > 1 else ""
            self.listener.begin(summary(names) + workers, self._total - len(self._open) + 1, self._total, len(names))

    def _progress(self, residual: float) -> Progress:
        total = max(step.total for step in self._steps.values())
        share = sum(step.part for step in self._steps.values()) / len(self._batches)
        return Progress(round(share * total), total, residual, share)
