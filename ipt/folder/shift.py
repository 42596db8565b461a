"""A process's way through pictures: the states of a killed run first, then batches of one shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ipt.core.errors import IptError
from ipt.folder import checkpoints
from ipt.folder.work import Job, Run, Work
from ipt.images.outcomes import Outcome, Watcher
from ipt.solve.memory import MOST, Room

_HELD = 2**25
"""Pixels of pictures that wait for others of their shape: a batch is solved, though not full, when it holds so many."""


class Shift:
    """Solves jobs in one process. begun: told the names of each batch before it is solved. alone: whether no other
    process works on this folder, so that a state which fits none of the jobs can go."""

    def __init__(self, run: Run, watcher: Watcher, begun: Callable[[Sequence[str]], None], alone: bool = False):
        self.run, self.watcher, self.begun, self.alone = run, watcher, begun, alone
        asked = run.execution.batch
        self.room = Room(asked, run.device, watcher.note)
        # Batches are formed anew after so many jobs, whether done or not: what is left of a run that was stopped then
        # falls into the same batches. A multiple of what is asked for, so that all are full.
        self.window = MOST if asked is None else -(-MOST // asked) * asked
        self.ended, self.total = 0, 0

    def outcomes(self, jobs: Sequence[Job], resume: bool = True) -> Iterator[Outcome]:
        """An outcome for each job, as they come. resume: go on from the states of these jobs that are there."""
        self.ended, self.total = 0, len(jobs)
        resumed = set()
        for outcome in self._resumed(jobs) if resume else ():
            resumed.add(outcome.name)
            yield outcome
        for start in range(0, len(jobs), self.window):
            waiting: dict[tuple[int, ...], list[Work]] = {}
            for job in jobs[start : start + self.window]:
                if job.name in resumed:
                    continue
                work = self.run.start(job, self.run.execution.force)
                if isinstance(work, Outcome):
                    self.ended += 1
                    yield work
                    continue
                shape = work.prepared.task.shape
                batch = waiting.setdefault(shape, [])
                batch.append(work)
                if self._full(batch, shape):
                    yield from self._solved(waiting.pop(shape))
            for batch in waiting.values():
                yield from self._solved(batch)

    def _full(self, batch: Sequence[Work], shape: tuple[int, ...]) -> bool:
        pictures = self.room.draws(shape) // self.run.options.samples
        held = sum(work.prepared.measured.pixels[0].numel() for work in batch)
        return len(batch) >= pictures or held >= _HELD

    def _solved(self, batch: Sequence[Work], saved: checkpoints.Saved | None = None) -> Iterator[Outcome]:
        names = [work.job.name for work in batch if not work.done]
        self.watcher.begin(together(names), self.ended + 1, self.total, len(names))
        self.begun(names)
        for outcome in self.run.solve(batch, self.room, self.watcher, saved):
            self.ended += 1
            yield outcome

    def _resumed(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """What was being solved when the run was killed."""
        by_name = {job.name: job for job in jobs}
        for path in sorted((self.run.out / checkpoints.FOLDER).glob("*.pt")):
            try:
                found = None if self.run.execution.force else self.run.resumed(by_name, path)
            except IptError as error:
                self.watcher.note(f"{error}: its pictures are solved from the beginning.")
                checkpoints.remove(path)
                continue
            if found is not None and not all(work.done for work in found[0]):
                state = found[1].parts[-1].state
                self.watcher.note(f"Going on from {path}: step {state.index} of {state.total}.")
                yield from self._solved(*found)
            if found is not None or self.alone:
                checkpoints.remove(path)


def together(names: Sequence[str]) -> str:
    """A batch in few words."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
