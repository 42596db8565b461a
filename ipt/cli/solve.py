"""`ipt solve`: options -> `ipt.folder.run.solve_all` -> outcomes -> report.html and the exit code."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ipt.cli import kinds
from ipt.cli.console import echo_json
from ipt.cli.errors import DONE, SOME_FAILED, resumable
from ipt.cli.options import (
    ENVIRONMENT,
    CountedSwitches,
    Paths,
    as_json,
    config,
    counted_switch,
    flag,
    option,
    origins,
    out_folder,
    pairs,
    switch,
)
from ipt.folder.options import ExecutionOptions
from ipt.folder.shards import Shard, under_torchrun
from ipt.images.choices import DOUBTFUL_CHOICES, FIT_CHOICES, FORMAT_CHOICES, LIGHT_CHOICES
from ipt.images.noise import NoiseOption
from ipt.priors.precision import PRECISIONS
from ipt.solve.options import AUTO, SolveOptions

if TYPE_CHECKING:
    from ipt.images.outcomes import Outcome

_EPILOG = """Precedence: command line, then the environment (IPT_OPERATOR, IPT_PRIOR, ...), then --config, then the
default. OUT/run.yaml, given as --config, runs again to the same result. Exit codes: 0 done, 1 error, 2 usage, 3 some
pictures failed (0 under torchrun, which would end the other ranks), 130 interrupted."""


@click.command(cls=CountedSwitches, epilog=_EPILOG, context_settings=ENVIRONMENT)
@click.argument("input", cls=Paths, nargs=-1, type=kinds.path)
@out_folder("Folder for the results.", "ipt-out, or the first of ipt-out-2, ipt-out-3, ... that holds no other run")
@option(SolveOptions, "--operator", kinds.components, "NAME", "What degraded the picture.")
@pairs(
    "--prior",
    kind=kinds.specs,
    metavar="[UNKNOWN=]SPEC",
    text="The prior of the picture, or with UNKNOWN= of a parameter: a name, NAME:ARGUMENT, or a path to weights. "
    "May be repeated.  [default: faces, or natural for pictures of another size; of parameters the operator's own]",
)
@counted_switch(
    SolveOptions,
    "--frames",
    kinds.exposures,
    "Each INPUT is a series of exposures of one scene (a folder, a TIFF of several pages, an animated GIF), which make "
    "one picture. Without INPUT, the example has N exposures.",
)
@option(SolveOptions, "--window", kinds.whole(2), "N", "Frames of a video that are solved together, as one picture.")
@switch(SolveOptions, "--recursive", "Solve the subfolders of a folder too: trip/a.jpg becomes trip-a.png.")
@option(SolveOptions, "--guidance", kinds.text, "NAME", "Guidance rule; `ipt list guidance`.")
@option(
    SolveOptions,
    "--noise",
    kinds.noise,
    "SIGMA|poisson:PEAK|FILE|auto",
    "Standard deviation of the noise, for values in 0..1; Poisson noise with PEAK counts at 1; or a .npy map of "
    "standard deviations.",
    AUTO,
)
@option(SolveOptions, "--steps", kinds.whole(1), "N", "Steps, each one call of each network.", "the guidance's own")
@option(SolveOptions, "--seed", kinds.whole(0), "N", "Seed of the random numbers: another seed gives another draw.")
@option(SolveOptions, "--samples", kinds.whole(1), "K", "Draws; of several, mean and standard deviation are written.")
@option(
    SolveOptions,
    "--effort",
    kinds.whole(1),
    "N",
    "The most draws: another one is made while a blind result is not likely right; the likeliest is kept.",
)
@option(SolveOptions, "--border", kinds.text, "MODE", "What lies outside the frame: the operator's option `border`.")
@option(
    SolveOptions,
    "--reference",
    kinds.path,
    "CLEAN",
    "The clean picture, or a folder of them, to compare with.",
    environment=False,
)
@pairs(
    "--known",
    kind=kinds.paths,
    metavar="UNKNOWN=FILE.npy",
    text="A parameter that is known. May be repeated.",
    environment=False,
)
@pairs(
    "--set",
    kind=kinds.settings,
    metavar="PART.OPTION=VALUE",
    text="Any option, as in guidance.scale=.3.",
    environment=False,
)
@option(
    SolveOptions,
    "--mask",
    kinds.path,
    "FILE",
    "A picture of the input's size, dark where the input is not to be trusted.",
    environment=False,
)
@option(
    SolveOptions,
    "--clipped",
    kinds.clipped,
    "auto|none|LEVEL",
    "Values from LEVEL (0..1) on are clipped highlights, and not trusted.",
)
@option(
    SolveOptions,
    "--region",
    kinds.region,
    "X,Y,WIDTH,HEIGHT|auto|half|none",
    "Find the kernel in this rectangle (pixels from the upper left) first, then solve the whole picture from it; half: "
    "find it in the picture at half its sides; auto: the likelier of both, in a large picture.",
)
@option(
    SolveOptions,
    "--streak",
    kinds.streak,
    "X,Y,WIDTH,HEIGHT",
    "A rectangle around a point of light, or a dark spot, that is blurred to a streak: the kernel starts from it.",
)
@option(
    SolveOptions,
    "--fit",
    click.Choice(FIT_CHOICES),
    None,
    "What to do with a picture of a size that the prior does not take.",
)
@option(
    SolveOptions,
    "--light",
    click.Choice(LIGHT_CHOICES),
    None,
    "Solve linear light (the sRGB encoding undone) or the picture's values (display); auto: linear for raw files.",
)
@option(
    SolveOptions,
    "--doubtful",
    click.Choice(DOUBTFUL_CHOICES),
    None,
    "A result that is likely wrong: mix it with the input, weighted by its probability, or show it unchanged.",
)
@option(SolveOptions, "--format", click.Choice(FORMAT_CHOICES), None, "File format of the results; same: the input's.")
@option(SolveOptions, "--device", kinds.text, "NAME", "auto, cpu, cuda ...")
@option(
    SolveOptions,
    "--precision",
    click.Choice(PRECISIONS),
    None,
    "Precision of the networks; auto: bf16 where the device supports it, else fp32.",
)
@option(ExecutionOptions, "--batch", kinds.whole(1, auto=True), "N|auto", "Draws that are solved together.", AUTO)
@option(
    ExecutionOptions,
    "--save-every",
    kinds.seconds,
    "SECONDS",
    "Time between checkpoints, from which a killed solve continues.",
)
@option(
    ExecutionOptions,
    "--shard",
    kinds.shard,
    "K/N|none",
    "Solve the K-th of N shares of a folder, K from 1 to N.",
    "set by torchrun or Slurm, else none",
    environment=False,
)
@option(
    ExecutionOptions, "--engine", kinds.text, "local|ray[:N]", "Solve a folder here or on a Ray cluster, N workers."
)
@config
@flag("--force", text="Solve again what is done, even if begun with other options, and replace files.")
@as_json
def solve(
    input: tuple[Path, ...],
    out: str | None,
    operator: str,
    prior: Mapping[str, str],
    frames: bool | int,
    window: int,
    recursive: bool,
    guidance: str,
    noise: NoiseOption,
    steps: int | None,
    seed: int,
    samples: int,
    effort: int,
    border: str | None,
    reference: Path | None,
    known: Mapping[str, Path],
    set: Mapping[str, Any],
    mask: Path | None,
    clipped: float | str,
    region: tuple[int, int, int, int] | str,
    streak: tuple[int, int, int, int] | None,
    fit: str,
    light: str,
    doubtful: str,
    format: str,
    device: str,
    precision: str,
    batch: int | None,
    save_every: float,
    shard: Shard | None,
    engine: str,
    force: bool,
    as_json: bool,
) -> int:
    """Recover the picture behind INPUT, and what degraded it.

    INPUT is a picture, a video, a folder of pictures, or with --frames a series of exposures; there may be several.
    Without INPUT an example is solved: a real face, degraded by the operator, with parameters from its generators or
    from --known.

    After an interruption the same command continues.
    """
    options = SolveOptions(
        input=input,
        operator=operator,
        prior=prior,
        guidance=guidance,
        frames=frames,
        window=window,
        recursive=recursive,
        noise=noise,
        steps=steps,
        seed=seed,
        samples=samples,
        effort=effort,
        border=border,
        reference=reference,
        known=known,
        set=set,
        device=device,
        precision=precision,
        mask=mask,
        clipped=clipped,
        region=region,
        streak=streak,
        fit=fit,
        light=light,
        doubtful=doubtful,
        format=format,
        origins=origins(),
    )
    execution = ExecutionOptions(batch, save_every, shard, engine, force)
    return _run(options, execution, None if out is None else Path(out), as_json)


def _run(options: SolveOptions, execution: ExecutionOptions, out: Path | None, as_json: bool) -> int:
    """Solve, write the report, print the records as JSON if asked for, and return the exit code."""
    # Torch is loaded only now: a mistyped option has been reported already.
    from ipt.cli.progress import Reporter
    from ipt.folder.run import solve_all
    from ipt.folder.status import shards_running
    from ipt.report.report import write_report

    count, failed, documents = 0, 0, []
    with Reporter() as reporter, nullcontext() if execution.force else resumable():
        run = solve_all(options, execution, out, reporter)
        for outcome in run:
            count, failed = count + 1, failed + (outcome.status == "failed")
            # Records are kept only for --json: else memory would grow with the folder.
            if as_json:
                documents.append(_document(outcome))
        # Of several shards, the last one to end writes the report.
        if count and not shards_running(run.out):
            write_report(run.out)
        if failed:
            reporter.note(f"{failed} of {count} pictures failed; {run.out}/report.html says why.")
        elif count:
            reporter.note(f"See {run.out}/report.html.")
    if as_json:
        echo_json({"out": str(run.out), "images": sorted(documents, key=lambda document: document["input"])})
    return SOME_FAILED if failed and not under_torchrun(os.environ) else DONE


def _document(outcome: Outcome) -> dict[str, Any]:
    reason = {"reason": outcome.reason} if outcome.reason else {}
    return {"input": outcome.name, **outcome.record, "status": outcome.status, **reason}
