"""`ipt solve`: every picture of an input, in batches of one shape, each written whole or not at all.

A picture that was finished with the same options is passed over, and a batch that was being solved goes on where it
was, so a run that was killed goes on to the results that it would have had. In a folder a picture that cannot be solved
is written down and the others go on, and several processes can share the work (`ipt.folder.shards`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from ipt.core.errors import IptError
from ipt.folder import pins
from ipt.folder.engines.choosing import choose_team
from ipt.folder.engines.crew import Crew
from ipt.folder.log import Log
from ipt.folder.options import ExecutionOptions
from ipt.folder.shards import Shard, shard_from
from ipt.folder.shift import Shift
from ipt.folder.status import read_status
from ipt.folder.work import Job, Run, record_of
from ipt.images import files
from ipt.images.atomic import check_folder
from ipt.images.outcomes import Outcome, Watcher
from ipt.report.report import write_report
from ipt.solve import example
from ipt.solve.defaults import with_usual_prior
from ipt.solve.options import SolveOptions
from ipt.solve.outputs import left_over, settle

_ROLES = ("measurement", "residual", "reference", "spread", "failed")


def solve_all(options: SolveOptions, execution: ExecutionOptions, out: Path, watcher: Watcher) -> Iterator[Outcome]:
    """Solve every picture of `options.input` (a file, a folder, or None: the example) into the folder `out`.

    A single picture's IptError is raised; in a folder it becomes an outcome. The report is written at the end.
    """
    every = _jobs(options)
    options, chosen = with_usual_prior(options)
    if chosen:
        watcher.note(chosen)
    team = choose_team(options, execution, out)
    # Where others solve, this process only needs to know what will be solved.
    run = Run.of(options if team is None else replace(options, device="cpu"), execution, out)
    shard = _shard(execution.shard, run.folder)
    jobs = shard.of(every)
    _check_places(every, jobs, run)
    wanted = pins.pins(options, run.solver.priors)
    pins.check(run.out, wanted, execution.force)
    check_folder(out)
    if options.input is None:
        watcher.note(
            "No INPUT: the example is a face (Eileen Collins, NASA, public domain), blurred here by a random camera "
            f"motion with noise {example.NOISE:g}, and compared with the truth."
        )
    if shard.count > 1:
        watcher.note(f"Shard {shard} ({shard.origin}): {len(jobs)} of {len(every)} pictures.")
    with Log(run.out, shard, len(every), len(jobs)) if run.folder else nullcontext() as log:
        # Alone, this run wrote whatever an earlier one left unfinished; else only what is of its own pictures.
        alone = run.folder and shard.count == 1
        settle(run.out, [job.stem for job in jobs], pages=alone)
        if run.folder:
            pins.write(run.out, wanted)

        def begun(names: Sequence[str]) -> None:
            if log is not None:
                log.write("batch", names=list(names))

        told = (run, watcher, begun, alone)
        solvers = Shift(*told) if team is None else Crew(*told, team())
        for outcome in solvers.outcomes(jobs):
            if not run.folder:
                pins.write(run.out, wanted)
            if log is not None:
                reason = {"reason": outcome.reason} if outcome.reason else {}
                log.write(outcome.status, name=outcome.name, **reason)
            watcher.end(outcome)
            yield outcome
    # The last of several shards writes it.
    if jobs and not (run.folder and any(shard.alive for shard in read_status(run.out).shards)):
        write_report(run.out)


def _jobs(options: SolveOptions) -> list[Job]:
    if options.input is None:
        return [Job(example.NAME, None)]
    place = options.input
    return [Job(path.name, path) for path in ([place] if options.frames else files.inputs(place))]


def _shard(asked: Shard | None, folder: bool) -> Shard:
    if folder:
        return asked or shard_from(os.environ)
    # A job array may give each of its tasks a picture of its own: only a folder is shared out by the environment.
    if asked is not None and asked.count > 1:
        raise IptError(f"--shard {asked} shares out a folder, and this is one picture; leave it out")
    return Shard()


def _check_places(every: Sequence[Job], own: Sequence[Job], run: Run) -> None:
    """IptError where results would fall on the inputs, on each other, or on files of somebody else."""
    out, force, stems = run.out, run.execution.force, {job.stem for job in every}
    for job in own:
        home = job.path and (job.path if job.path.is_dir() else job.path.parent)
        if home is not None and home.resolve() == out.resolve():
            raise IptError(f"the results would replace the inputs in {out}; choose another output folder with -o")
        for role in (*_ROLES, *run.parameters):
            if f"{job.stem}.{role}" in stems:
                raise IptError(
                    f"{job.stem}.{role} would be a result of {job.name}, and is an input; "
                    f"give a folder that holds pictures alone, not results of ipt"
                )
        for path in (out / f"{job.stem}.png", out / f"{job.stem}.json"):
            if path.exists() and not force and not record_of(out, job.stem) and not left_over(out, job.stem):
                raise IptError(
                    f"{path} is there and no result of ipt; choose another folder with -o, or replace it with --force"
                )
