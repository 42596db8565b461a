"""The backend that solves inputs in this process: first batches with a checkpoint, then new batches of one kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ipt.core.errors import IptError
from ipt.folder import checkpoints
from ipt.folder.checkpoints import Checkpoint
from ipt.folder.inputs import InputImage
from ipt.folder.pipeline import BatchMember, Pipeline
from ipt.folder.video import solve_video
from ipt.images.outcomes import Outcome, ProgressListener
from ipt.solve.sizer import LARGEST_BATCH, BatchSizer

_WAITING_PIXELS = 2**25
"""Pixels that a waiting batch may hold; a batch with more is solved even if it is not full, which bounds the memory."""


class SerialBackend:
    """Solves inputs one batch after the other.

    Args:
        pipeline: solves them.
        listener: gets the progress.
        on_batch: called with the names of each batch before it is solved.
        alone: whether no other process works on this folder, so that checkpoints of other pictures can be removed.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        listener: ProgressListener,
        on_batch: Callable[[Sequence[str]], None],
        alone: bool = False,
    ):
        self.pipeline, self.listener, self.on_batch, self.alone = pipeline, listener, on_batch, alone
        self.again = pipeline.execution.force
        asked = pipeline.execution.batch
        self.sizer = BatchSizer(asked, pipeline.device, listener.note)
        # Batches are formed within windows of so many inputs, finished ones included, so that a run that is continued
        # forms the same batches. A multiple of the requested batch size, so that batches are full.
        self.window = LARGEST_BATCH if asked is None else -(-LARGEST_BATCH // asked) * asked
        self.ended, self.total = 0, 0

    def outcomes(self, inputs: Sequence[InputImage], resume: bool = True) -> Iterator[Outcome]:
        """An outcome for each input, as they end; resume: continue from checkpoints of these inputs."""
        self.ended, self.total = 0, len(inputs)
        resumed = set()
        for outcome in self._resumed(inputs) if resume else ():
            resumed.add(outcome.name)
            yield outcome
        for start in range(0, len(inputs), self.window):
            waiting: dict[tuple[object, ...], list[BatchMember]] = {}
            for image in inputs[start : start + self.window]:
                if image.name in resumed:
                    continue
                if image.is_video:
                    self.ended += 1
                    self.on_batch([image.name])
                    yield solve_video(self.pipeline, image, self.sizer, self.listener, self.again)
                    continue
                member = self.pipeline.prepare(image, self.again)
                if isinstance(member, Outcome):
                    self.ended += 1
                    yield member
                    continue
                sampling = member.prepared.sampling
                batch = waiting.setdefault(sampling.kind, [])
                batch.append(member)
                if self._full(batch, sampling.shape):
                    yield from self._solve_batch(waiting.pop(sampling.kind))
            for batch in waiting.values():
                yield from self._solve_batch(batch)

    def _full(self, batch: Sequence[BatchMember], shape: tuple[int, ...]) -> bool:
        """Whether a batch of pictures of `shape` (C, H, W) is to be solved now."""
        pictures = self.sizer.size(shape) // self.pipeline.options.samples
        held = sum(member.prepared.measured.pixels[0].numel() for member in batch)
        return len(batch) >= pictures or held >= _WAITING_PIXELS

    def _solve_batch(self, batch: Sequence[BatchMember], checkpoint: Checkpoint | None = None) -> Iterator[Outcome]:
        """Announce a batch and solve it, from its checkpoint if there is one."""
        names = [member.input.name for member in batch if not member.finished]
        self.listener.begin(summary(names), self.ended + 1, self.total, len(names))
        self.on_batch(names)
        for outcome in self.pipeline.solve(batch, self.sizer, self.listener, checkpoint):
            self.ended += 1
            yield outcome

    def _resumed(self, inputs: Sequence[InputImage]) -> Iterator[Outcome]:
        """The outcomes of the batches that a killed run was solving."""
        by_name = {image.name: image for image in inputs}
        for path in checkpoints.paths(self.pipeline.out):
            try:
                found = None if self.again else self.pipeline.resumed(by_name, path)
            except IptError as error:
                self.listener.note(f"{error}: its pictures are solved from the beginning.")
                checkpoints.remove(path)
                continue
            if found is not None and not all(member.finished for member in found[0]):
                state = found[1].batches[-1].state
                self.listener.note(f"Going on from {path}: step {state.index} of {state.total}.")
                yield from self._solve_batch(*found)
            if found is not None or self.alone:
                checkpoints.remove(path)


def summary(names: Sequence[str]) -> str:
    """The names of a batch in short: the first one, and how many more."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
