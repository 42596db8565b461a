"""`ipt solve`: every picture of an input, one after the other, each finished before the next is begun.

A picture that was finished with the same options is passed over, so a run that was stopped goes on where it was. In a
folder a picture that cannot be solved is written down and the others go on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from ipt.core.errors import IptError
from ipt.core.interfaces import IMAGE
from ipt.core.randomness import image_seed
from ipt.core.solver import Solver
from ipt.images import files
from ipt.images.atomic import check_folder
from ipt.images.files import Picture
from ipt.plugins.building import build
from ipt.plugins.registry import one_line
from ipt.runs import example
from ipt.runs.options import Options
from ipt.runs.outputs import ImageResult, write_failure, write_result, write_run_yaml
from ipt.runs.provenance import choose_device, file_hash, identity, weight_hashes
from ipt.runs.report import write_report
from ipt.runs.solving import Progress, solve_picture
from ipt.runs.truth import Truth, parameter_file, read_parameter, read_truth, truth_file

_ROLES = ("measurement", "residual", "reference", "spread", "failed")


@dataclass(frozen=True)
class Outcome:
    """What became of one picture: "done", "skipped" (it was done before) or "failed", with the record of its json, or
    why.
    """

    name: str
    status: str
    record: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""


class Watcher(Protocol):
    """Who is told how a run goes."""

    def begin(self, name: str, number: int, total: int) -> None:
        """Picture `number` (from 1) of `total` is next."""

    def step(self, progress: Progress) -> None:
        """A step of the solve is done."""

    def end(self, outcome: Outcome) -> None:
        """The picture is done with."""

    def note(self, text: str) -> None:
        """Something a person should know."""


@dataclass(frozen=True)
class _Job:
    """One picture to solve: a file, or the example (None)."""

    name: str
    path: Path | None

    @property
    def stem(self) -> str:
        return Path(self.name).stem


@dataclass(frozen=True)
class _Run:
    options: Options
    solver: Solver
    parameters: tuple[str, ...]
    known: Mapping[str, Tensor]
    device: str
    out: Path

    def identity(self, job: _Job) -> str:
        """Names everything that the result of a picture depends on, by content where it is a file."""
        plain = self.options.plain()
        for name in ("input", "reference", "known", "device", "border"):
            plain.pop(name)
        plain["set"] = self.options.settings()
        plain["known"] = {name: value.tolist() for name, value in self.known.items()}
        plain["weights"] = weight_hashes(self.solver.priors)
        plain["input"] = job.name if job.path is None else file_hash(job.path)
        if self.options["reference"]:
            truth = truth_file(self.options["reference"], job.name)
            beside = [parameter_file(truth, name) for name in self.parameters]
            plain["reference"] = [file_hash(path) for path in (truth, *beside) if path == truth or path.is_file()]
        return identity(plain)

    def solve(self, job: _Job, watcher: Watcher) -> ImageResult:
        options = self.options
        noise = None if options["noise"] == "auto" else float(options["noise"])
        truth: Truth | None = None
        if job.path is None:
            picture, truth = self._example()
            noise = noise or example.NOISE
        else:
            picture = files.read(job.path)
            if options["reference"]:
                truth = read_truth(truth_file(options["reference"], job.name), self.parameters)
        result = solve_picture(
            self.solver,
            picture,
            job.name,
            noise=noise,
            seed=options["seed"],
            samples=options["samples"],
            known=self.known,
            truth=truth,
            fit_choice=options["fit"],
            device=self.device,
            watch=watcher.step,
        )
        record = {**result.record, "options": options.record(), "identity": self.identity(job)}
        if job.path is not None:
            record["input_sha256"] = file_hash(job.path)
        return replace(result, record=record)

    def _example(self) -> tuple[Picture, Truth]:
        if self.parameters != ("kernel",) or self.known or self.options["reference"]:
            raise IptError(
                "the example is blurred by an unknown kernel; "
                "with another operator, --known or --reference, give an INPUT"
            )
        seed = image_seed(self.options["seed"], example.NAME)
        return example.example(self.solver.priors[IMAGE], self.solver.operator, seed)


def solve_all(options: Options, out: str, force: bool, watcher: Watcher) -> Iterator[Outcome]:
    """Solve every picture of `options["input"]` (a file, a folder, or None: the example) into the folder `out`.

    options: of the kinds `ipt.runs.options.SOLVE`. force: solve again what is done, and replace files that are there.
    A single picture's IptError is raised; in a folder it becomes an outcome. The report is written at the end.
    """
    folder = options["input"] is not None and Path(options["input"]).is_dir()
    jobs = _jobs(options["input"])
    known = {name: read_parameter(path) for name, path in options["known"].items()}
    device = choose_device(options["device"])
    solver = build(
        options["operator"],
        options["prior"][IMAGE],
        options["guidance"],
        parameters={name: spec for name, spec in options["prior"].items() if name != IMAGE},
        known=tuple(known),
        settings=options.settings(),
        steps=options["steps"],
        device=device,
        precision=options["precision"],
    )
    # Every parameter is either unknown, and has a prior, or known.
    parameters = (*(name for name in solver.priors if name != IMAGE), *known)
    _check_places(jobs, Path(out), parameters, force)
    run = _Run(options, solver, parameters, known, device, check_folder(out))
    if options["input"] is None:
        watcher.note(
            "No INPUT: the example is a face (Eileen Collins, NASA, public domain), blurred here by a random camera "
            f"motion with noise {example.NOISE:g}, and compared with the truth."
        )
    for number, job in enumerate(jobs, 1):
        watcher.begin(job.name, number, len(jobs))
        outcome = _one(run, job, folder, force, watcher)
        write_run_yaml(run.out, options.plain())
        watcher.end(outcome)
        yield outcome
    write_report(run.out)


def _one(run: _Run, job: _Job, folder: bool, force: bool, watcher: Watcher) -> Outcome:
    try:
        done = None if force else _finished(run, job)
        if done is not None:
            return Outcome(job.name, "skipped", done)
        path = write_result(run.out, job.stem, run.solve(job, watcher))
        return Outcome(job.name, "done", json.loads(path.read_text(encoding="utf-8")))
    except Exception as error:
        if not folder:
            raise
        reason = str(error) if isinstance(error, IptError) else one_line(error)
        # Where not even this can be written (the disk is full), the run ends here.
        write_failure(run.out, job.stem, reason, {"input": job.name, "options": run.options.record()})
        return Outcome(job.name, "failed", reason=reason)


def _jobs(place: str | None) -> list[_Job]:
    return [_Job(example.NAME, None)] if place is None else [_Job(path.name, path) for path in files.inputs(place)]


def _finished(run: _Run, job: _Job) -> dict[str, Any] | None:
    """The record of an earlier run, if it is whole and was made with all the same."""
    record = _record(run.out, job.stem)
    if record.get("identity") != run.identity(job):
        return None
    return record if all((run.out / name).is_file() for name in record["files"].values()) else None


def _record(out: Path, stem: str) -> dict[str, Any]:
    """What an earlier run wrote of a picture; nothing where there is none, or a file that is not ours."""
    try:
        record = json.loads((out / f"{stem}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    ours = isinstance(record, dict) and record.get("status") == "done" and isinstance(record.get("files"), dict)
    return record if ours else {}


def _check_places(jobs: Sequence[_Job], out: Path, parameters: Sequence[str], force: bool) -> None:
    """IptError where results would fall on the inputs, on each other, or on files of somebody else."""
    stems = {job.stem for job in jobs}
    for job in jobs:
        if job.path is not None and job.path.parent.resolve() == out.resolve():
            raise IptError(f"the results would replace the inputs in {out}; choose another output folder with -o")
        for role in (*_ROLES, *parameters):
            if f"{job.stem}.{role}" in stems:
                raise IptError(
                    f"{job.stem}.{role} would be a result of {job.name}, and is an input; "
                    f"give a folder that holds pictures alone, not results of ipt"
                )
        for path in (out / f"{job.stem}.png", out / f"{job.stem}.json"):
            if path.exists() and not _record(out, job.stem) and not force:
                raise IptError(
                    f"{path} is there and no result of ipt; choose another folder with -o, or replace it with --force"
                )
