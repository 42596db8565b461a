"""Pictures shared out among workers as these get done, and shared out again when a worker is lost.

Every picture has one outcome. Which pictures go together depends on their order, their size and the number of workers,
not on who is quick.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from ipt.core.errors import IptError
from ipt.folder import checkpoints
from ipt.folder.engines.worker import Begun, Broken, Idle, Lost, Note, Report
from ipt.folder.shift import together
from ipt.folder.work import Job, Run
from ipt.images.outcomes import Outcome, Progress, Watcher
from ipt.solve.memory import Room
from ipt.solve.outputs import settle

_LOSSES = 3
"""So many workers may be lost over a picture: the second time it is solved alone, after the third it has failed."""


class Team(Protocol):
    """Workers by number, from 0. kind: of their devices, "cpu" or "cuda". size: how many there can be."""

    kind: str
    size: int

    def hire(self, number: int) -> None:
        """Start that worker, or another in its place; it reports Idle when it is ready."""

    def assign(self, number: int, jobs: Sequence[Job], resume: bool) -> None:
        """Give an idle worker pictures; its reports end with Idle, Broken or Lost."""

    def next(self) -> tuple[int, Report]:
        """The next report, and whose."""

    def close(self) -> None:
        """End all workers, whatever they do."""


@dataclass(frozen=True)
class Share:
    """Pictures that a worker gets together. resume: whether there may be a state of them to go on from."""

    jobs: tuple[Job, ...]
    resume: bool = False


class Crew:
    """A run's pictures, solved by a team, which ends with them. begun, alone: as of a `Shift`."""

    def __init__(
        self,
        run: Run,
        watcher: Watcher,
        begun: Callable[[Sequence[str]], None],
        alone: bool,
        team: Team,
    ):
        self.run, self.watcher, self.begun, self.alone = run, watcher, begun, alone
        self.team = team
        self._open: dict[str, Job] = {}
        self._shares: deque[Share] = deque()
        self._busy: dict[int, Share] = {}
        self._idle: set[int] = set()
        self._batches: dict[int, Sequence[str]] = {}
        self._steps: dict[int, Progress] = {}
        self._losses: Counter[str] = Counter()
        self._total = self._stillborn = 0

    def outcomes(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """An outcome for each job, as they come. IptError: what ends a run in one process, or workers do not start."""
        self._total = len(jobs)
        self._open = {job.name: job for job in jobs}
        for job in jobs:
            record = None if self.run.execution.force else self._record(job)
            if record is not None:
                del self._open[job.name]
                yield Outcome(job.name, "skipped", record)
        with closing(self.team):
            self._shares.extend(self._shared(jobs))
            for number in range(min(self.team.size, len(self._shares))):
                self.team.hire(number)
            while self._open:
                yield from self._heard(*self.team.next())
        # All is done: no state is of use any more.
        for path in self._states() if self.alone else ():
            checkpoints.remove(path)

    def _states(self) -> list[Path]:
        return sorted((self.run.out / checkpoints.FOLDER).glob("*.pt"))

    def _record(self, job: Job) -> Mapping[str, Any] | None:
        try:
            return self.run.finished(job)
        except IptError:
            # It cannot be read: a worker finds out, and writes it down.
            return None

    def _shared(self, jobs: Sequence[Job]) -> Iterator[Share]:
        """First what a killed run was solving, as it was solving it; then the others in their order, at most as many
        together as are solved together, and towards the end so few that no worker waits long for another. Shares are
        formed of all jobs, done or not, so that what is left of a run that was killed falls into the same ones."""
        left = set(self._open)
        for path in [] if self.run.execution.force else self._states():
            saved = checkpoints.read(path)
            names = set(saved.members) if saved is not None else set()
            members = tuple(job for job in jobs if job.name in names)
            if len(members) == len(names) and names & left:
                yield Share(members, resume=True)
                left -= names
        room = Room(self.run.execution.batch, self.team.kind)
        start = 0
        while start < len(jobs):
            most = max(1, room.draws(_shape(jobs[start])) // self.run.options.samples)
            stop = start + min(most, -(-(len(jobs) - start) // self.team.size))
            share = tuple(job for job in jobs[start:stop] if job.name in left)
            if share:
                yield Share(share)
            start = stop

    def _heard(self, number: int, report: Report) -> Iterator[Outcome]:
        match report:
            case Outcome():
                # A picture that was done when its worker was lost, or before, may be reported again.
                if self._open.pop(report.name, None) is not None:
                    yield report
            case Begun():
                self._batches[number] = report.names
                self._steps.pop(number, None)
                self._say()
                self.begun(report.names)
            case Progress():
                self._steps[number] = report
                self.watcher.step(self._progress(report.residual))
            case Note():
                self.watcher.note(report.text)
            case Broken():
                raise IptError(report.text)
            case Idle():
                self._stillborn = 0
                self._forget(number)
                self._idle.add(number)
                self._assign()
            case Lost():
                yield from self._lost(number, report.reason)

    def _assign(self) -> None:
        while self._idle and self._shares:
            number, share = min(self._idle), self._shares.popleft()
            self._idle.remove(number)
            self._busy[number] = share
            self.team.assign(number, share.jobs, share.resume)

    def _lost(self, number: int, reason: str) -> Iterator[Outcome]:
        """Another worker in its place, and its pictures to whoever is next."""
        share = self._forget(number)
        if share is None:
            self._stillborn += 1
            if self._stillborn > 2 * self.team.size:
                raise IptError(f"workers end while they start ({reason}); see whether --engine local:1 works")
        jobs = [job for job in share.jobs if job.name in self._open] if share is not None else []
        settle(self.run.out, [job.stem for job in jobs])
        self._losses.update(job.name for job in jobs)
        given_up = [job for job in jobs if self._losses[job.name] >= _LOSSES]
        jobs = [job for job in jobs if job not in given_up]
        if share is not None and jobs:
            said = together([job.name for job in jobs])
            self.watcher.note(f"A worker was lost ({reason}): {said} will be solved again.")
            if any(self._losses[job.name] == _LOSSES - 1 for job in jobs):
                self._shares.extendleft(Share((job,), resume=True) for job in reversed(jobs))
            else:
                # Those that were done too (but with --force, which would solve them again): a state is of all of them.
                self._shares.appendleft(Share(tuple(jobs) if self.run.execution.force else share.jobs, resume=True))
        self._assign()
        if self._shares:
            self.team.hire(number)
        for job in given_up:
            del self._open[job.name]
            said = f"{_LOSSES} workers were lost over it ({reason}); perhaps memory did not suffice, try --fit crop"
            yield self.run.failed(job, IptError(said))

    def _forget(self, number: int) -> Share | None:
        self._idle.discard(number)
        self._batches.pop(number, None)
        self._steps.pop(number, None)
        return self._busy.pop(number, None)

    def _say(self) -> None:
        """The batches of all workers, as one."""
        names = [name for batch in self._batches.values() for name in batch if name in self._open]
        if names:
            said = together(names) + (f", by {len(self._batches)} workers" if len(self._batches) > 1 else "")
            self.watcher.begin(said, self._total - len(self._open) + 1, self._total, len(names))

    def _progress(self, residual: float) -> Progress:
        total = max(step.total for step in self._steps.values())
        share = sum(step.done / step.total for step in self._steps.values()) / len(self._batches)
        return Progress(round(share * total), total, residual)


def _shape(job: Job) -> tuple[int, int, int]:
    """The size that a picture says it has; how many fit with it is only a guess, which its worker mends."""
    assert job.path is not None
    try:
        with Image.open(job.path) as image:
            return 1, image.height, image.width
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return 1, 1024, 1024
