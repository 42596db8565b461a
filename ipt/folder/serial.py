"""Inputs solved in this process: the checkpoints of a killed run first, then batches of one shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ipt.core.errors import IptError
from ipt.folder import checkpoints
from ipt.folder.checkpoints import Checkpoint
from ipt.folder.inputs import InputImage
from ipt.folder.pipeline import BatchMember, Pipeline
from ipt.folder.video import solve_video
from ipt.images.outcomes import Outcome, ProgressListener
from ipt.solve.batches import LARGEST_BATCH, BatchSizer

_WAITING_PIXELS = 2**25
"""Pixels of pictures that wait for others of their shape; a batch that holds so many is solved, though not full."""


class SerialBackend:
    """Solves inputs one batch after the other.

    Args:
        pipeline: what is done to them.
        listener: gets the progress.
        on_batch: called with the names of each batch before it is solved.
        alone: whether no other process works on this folder, so that a checkpoint of none of the inputs can go.
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
        # Batches are formed anew after so many inputs, whether done or not: what is left of a run that was stopped then
        # falls into the same batches. A multiple of what is asked for, so that all are full.
        self.window = LARGEST_BATCH if asked is None else -(-LARGEST_BATCH // asked) * asked
        self.ended, self.total = 0, 0

    def outcomes(self, inputs: Sequence[InputImage], resume: bool = True) -> Iterator[Outcome]:
        """An outcome for each input, as they come; resume: go on from the checkpoints of these that are there."""
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
                    yield from self._solved(waiting.pop(sampling.kind))
            for batch in waiting.values():
                yield from self._solved(batch)

    def _full(self, batch: Sequence[BatchMember], shape: tuple[int, ...]) -> bool:
        pictures = self.sizer.size(shape) // self.pipeline.options.samples
        held = sum(member.prepared.measured.pixels[0].numel() for member in batch)
        return len(batch) >= pictures or held >= _WAITING_PIXELS

    def _solved(self, batch: Sequence[BatchMember], checkpoint: Checkpoint | None = None) -> Iterator[Outcome]:
        names = [member.input.name for member in batch if not member.finished]
        self.listener.begin(summary(names), self.ended + 1, self.total, len(names))
        self.on_batch(names)
        for outcome in self.pipeline.solve(batch, self.sizer, self.listener, checkpoint):
            self.ended += 1
            yield outcome

    def _resumed(self, inputs: Sequence[InputImage]) -> Iterator[Outcome]:
        """What was being solved when the run was killed."""
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
                yield from self._solved(*found)
            if found is not None or self.alone:
                checkpoints.remove(path)


def summary(names: Sequence[str]) -> str:
    """A batch in few words."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
