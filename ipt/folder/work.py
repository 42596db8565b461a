"""The work of a run on some of its pictures: prepared one at a time, solved in batches, written one at a time.

A `Run` knows how; which pictures, in which order and in which process is up to the caller (`ipt.folder.jobs`, an
engine). What becomes of a picture depends on none of that.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from ipt.core.errors import IptError
from ipt.core.interfaces import IMAGE
from ipt.core.randomness import image_seed
from ipt.core.solver import Solver
from ipt.folder import checkpoints
from ipt.folder.checkpoints import Checkpoint, Saved
from ipt.folder.options import ExecutionOptions
from ipt.images import files
from ipt.images.exposures import read_exposures
from ipt.images.files import Picture
from ipt.images.outcomes import Outcome, Watcher
from ipt.images.parameters import parameter_file, read_parameter
from ipt.images.records import file_hash, identity
from ipt.plugins.building import build
from ipt.plugins.registry import one_line
from ipt.solve import example
from ipt.solve.memory import Room, out_of_memory
from ipt.solve.options import SolveOptions
from ipt.solve.outputs import write_failure, write_result
from ipt.solve.provenance import choose_device, weight_hashes
from ipt.solve.solving import Prepared, prepare
from ipt.solve.tasks import solve_tasks
from ipt.solve.truth import Truth, read_truth, truth_file


@dataclass(frozen=True)
class Job:
    """One picture to solve: a file, a folder (or file) of frames, or the example (None)."""

    name: str
    path: Path | None

    @property
    def stem(self) -> str:
        return self.name if self.path is not None and self.path.is_dir() else Path(self.name).stem

    @property
    def content(self) -> str:
        """A hash of what is solved; the example has none."""
        if self.path is None:
            return self.name
        if not self.path.is_dir():
            return file_hash(self.path)
        return identity({path.name: file_hash(path) for path in files.inputs(self.path)})


def is_folder(options: SolveOptions) -> bool:
    """Whether the input is a folder of pictures, each to be solved by itself."""
    return options.input is not None and not options.frames and options.input.is_dir()


@dataclass(frozen=True)
class Work:
    """A job that is ready to be solved. identity: of what its result depends on. done: its result is there already, and
    it is solved only because its batch goes on from a state. seconds: of preparing it."""

    job: Job
    prepared: Prepared
    identity: str
    seconds: float
    done: bool = False


@dataclass(frozen=True)
class Run:
    """Options and what they build. folder: whether a picture's failure is written down, instead of
    raised.

    parameters: the operator's, each either unknown, with a prior, or known.
    """

    options: SolveOptions
    execution: ExecutionOptions
    out: Path
    folder: bool
    solver: Solver
    known: Mapping[str, Tensor]
    parameters: tuple[str, ...]
    device: str

    @classmethod
    def of(cls, options: SolveOptions, execution: ExecutionOptions, out: Path) -> Run:
        """options: with a prior of the image. IptError: what they name does not exist or cannot be."""
        known = {name: read_parameter(path) for name, path in options.known.items()}
        device = choose_device(options.device)
        solver = build(
            options.operator,
            options.prior[IMAGE],
            options.guidance,
            parameters={name: spec for name, spec in options.prior.items() if name != IMAGE},
            known=tuple(known),
            settings=options.settings(),
            steps=options.steps,
            device=device,
            precision=options.precision,
        )
        parameters = (*(name for name in solver.priors if name != IMAGE), *known)
        return cls(options, execution, out, is_folder(options), solver, known, parameters, device)

    @cached_property
    def _common(self) -> dict[str, Any]:
        plain = self.options.plain()
        for name in ("input", "reference", "known", "device", "border"):
            plain.pop(name)
        plain["set"] = self.options.settings()
        plain["known"] = {name: value.tolist() for name, value in self.known.items()}
        plain["weights"] = weight_hashes(self.solver.priors)
        return plain

    def identity(self, job: Job) -> str:
        """Names everything that the result of a picture depends on, by content where it is a file."""
        plain = {**self._common, "input": job.content}
        if self.options.reference:
            truth = truth_file(self.options.reference, job.stem, Path(job.name).suffix)
            beside = [parameter_file(truth, name) for name in self.parameters]
            plain["reference"] = [file_hash(path) for path in (truth, *beside) if path == truth or path.is_file()]
        return identity(plain)

    def finished(self, job: Job, named: str | None = None) -> dict[str, Any] | None:
        """The record of an earlier run, if it is whole and was made with all the same. named: the job's identity, where
        it is known already."""
        record = record_of(self.out, job.stem)
        if not record or record.get("identity") != (named or self.identity(job)):
            return None
        return record if all((self.out / name).is_file() for name in record["files"].values()) else None

    def start(self, job: Job, force: bool = False) -> Outcome | Work:
        """A job made ready; or its outcome, if it was solved before (but with `force`) or cannot be."""
        started = time.perf_counter()
        try:
            named = self.identity(job)
            done = None if force else self.finished(job, named)
            if done is not None:
                return Outcome(job.name, "skipped", done)
            return Work(job, self._prepared(job), named, time.perf_counter() - started)
        except Exception as error:
            return self.failed(job, error)

    def solve(
        self, batch: Sequence[Work], room: Room, watcher: Watcher, saved: Saved | None = None
    ) -> Iterator[Outcome]:
        """Solve works of one shape together and write their results; an outcome for each, in their order.

        saved: a state of this very batch, to go on from.
        """
        members = {work.job.name: work.identity for work in batch}
        every, spent = self.execution.save_every, saved.seconds if saved else 0.0
        checkpoint = Checkpoint(self.out, members, every, spent)
        try:
            parts = saved.parts if saved else ()
            tasks = [work.prepared.task for work in batch]
            solutions = solve_tasks(tasks, room, watcher.step, checkpoint, parts)
        except Exception as error:
            checkpoint.remove()
            if len(batch) == 1:
                yield self.failed(batch[0].job, error)
                return
            # Which of them it is, shows when each is alone.
            for work in batch:
                yield from self.solve([work], room, watcher)
            return
        seconds = checkpoint.seconds / len(batch)
        for work, solution in zip(batch, solutions, strict=True):
            if work.done:
                continue
            try:
                result = work.prepared.result(solution, work.seconds + seconds)
                record = {**result.record, "options": self.options.record(), "identity": work.identity}
                if work.job.path is not None:
                    record["input_sha256"] = work.job.content
                path = write_result(self.out, work.job.stem, replace(result, record=record))
                yield Outcome(work.job.name, "done", json.loads(path.read_text(encoding="utf-8")))
            except Exception as error:
                yield self.failed(work.job, error)
        checkpoint.remove()

    def resumed(self, jobs: Mapping[str, Job], path: Path) -> tuple[list[Work], Saved] | None:
        """The batch whose state is in a file; None where it is of other pictures than `jobs` (by name), or of what they
        were before they or the options changed. IptError: the file is damaged."""
        saved = checkpoints.read(path, self.device)
        if saved is None:
            raise IptError(f"{path} is damaged")
        works = []
        for name, named in saved.members.items():
            if name not in jobs:
                return None
            work = self.start(jobs[name], force=True)
            if isinstance(work, Outcome) or work.identity != named:
                return None
            works.append(replace(work, done=self.finished(work.job, named) is not None))
        return (works, saved) if len({work.prepared.task.shape for work in works}) == 1 else None

    def _prepared(self, job: Job) -> Prepared:
        options = self.options
        noise = options.noise
        truth: Truth | None = None
        picture: Picture | tuple[Picture, ...]
        if job.path is None:
            picture, truth = self._example()
            noise = noise or example.NOISE
        else:
            picture = read_exposures(job.path) if options.frames else files.read(job.path)
            if options.reference:
                place = truth_file(options.reference, job.stem, Path(job.name).suffix)
                truth = read_truth(place, self.parameters)
        return prepare(
            self.solver,
            picture,
            job.name,
            noise=noise,
            seed=options.seed,
            samples=options.samples,
            known=self.known,
            truth=truth,
            fit_choice=options.fit,
            device=self.device,
        )

    def _example(self) -> tuple[Picture, Truth]:
        if self.parameters != ("kernel",) or self.known or self.options.reference or self.options.frames:
            raise IptError(
                "the example is one picture, blurred by an unknown kernel; "
                "with another operator, --known, --reference or --frames, give an INPUT"
            )
        seed = image_seed(self.options.seed, example.NAME)
        return example.example(self.solver.priors[IMAGE], self.solver.operator, seed)

    def failed(self, job: Job, error: Exception) -> Outcome:
        """A job that came to nothing: written down in a folder; else the error is raised."""
        if not self.folder:
            raise error
        reason = str(error) if isinstance(error, IptError) else one_line(error)
        if out_of_memory(error):
            reason = "out of memory, even alone; take --fit crop or resize, --precision bf16, or a larger device"
        # Where not even this can be written (the disk is full), the run ends here.
        write_failure(self.out, job.stem, reason, {"input": job.name, "options": self.options.record()})
        return Outcome(job.name, "failed", reason=reason)


def record_of(out: Path, stem: str) -> dict[str, Any]:
    """What an earlier run wrote of a picture; nothing where there is none, or a file that is not ours."""
    try:
        record = json.loads((out / f"{stem}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    ours = isinstance(record, dict) and record.get("status") == "done" and isinstance(record.get("files"), dict)
    return record if ours else {}
