"""`ipt solve`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ipt.cli.console import echo_json
from ipt.cli.errors import DONE, SOME_FAILED
from ipt.cli.options import (
    COMPONENTS,
    ENVIRONMENT,
    FILES,
    NOISE,
    PATH,
    SECONDS,
    SETTINGS,
    SHARD,
    SPECS,
    TEXT,
    as_json,
    config,
    option,
    origins,
    pairs,
    whole,
)
from ipt.core.precision import PRECISIONS
from ipt.folder.options import ExecutionOptions
from ipt.folder.shards import Shard, under_torchrun
from ipt.images.choices import FIT_CHOICES
from ipt.solve.options import AUTO, SolveOptions

if TYPE_CHECKING:
    from ipt.images.outcomes import Outcome

_EPILOG = """Precedence: command line, then the environment (IPT_OPERATOR, IPT_PRIOR, ...), then --config, then the
default. OUT/run.yaml, given as --config, runs again to the same result. Exit codes: 0 done, 1 error, 2 usage, 3 some
pictures failed (0 under torchrun, which would end the other ranks), 130 interrupted."""


@click.command(epilog=_EPILOG, context_settings=ENVIRONMENT)
@click.argument("input", required=False, type=PATH)
@click.option("-o", "--out", required=True, allow_from_autoenv=False, metavar="OUT", help="Folder for the results.")
@option("--operator", type=COMPONENTS, default=SolveOptions.operator, metavar="NAME", help="What degraded the picture.")
@pairs(
    "--prior",
    type=SPECS,
    metavar="[UNKNOWN=]SPEC",
    help="What the picture, or with UNKNOWN= another unknown, is like: a name, NAME:ARGUMENT, or a path to weights. "
    "May be repeated.  [default: faces, for pictures of another size natural, and the operator's own]",
)
@option(
    "--frames",
    is_flag=True,
    default=SolveOptions.frames,
    allow_from_autoenv=False,
    help="INPUT is a series of exposures of one scene (a folder, a TIFF of several pages, an animated GIF): they make "
    "one picture.",
)
@option(
    "--guidance",
    type=TEXT,
    default=SolveOptions.guidance,
    metavar="NAME",
    help="How the measurement steers the priors.",
)
@option(
    "--noise",
    type=NOISE,
    default=SolveOptions.noise,
    show_default=AUTO,
    metavar="SIGMA|auto",
    help="Standard deviation of the noise, of 0..1.",
)
@option(
    "--steps",
    type=whole(1),
    default=SolveOptions.steps,
    show_default="the guidance's own",
    metavar="N",
    help="Steps, each one call of each network.",
)
@option("--seed", type=whole(0), default=SolveOptions.seed, metavar="N", help="Another seed, another draw.")
@option(
    "--samples",
    type=whole(1),
    default=SolveOptions.samples,
    metavar="K",
    help="Draws; with several, their mean and spread are written.",
)
@option(
    "--border",
    type=TEXT,
    default=SolveOptions.border,
    metavar="MODE",
    help="What lies outside the frame: the operator's option `border`.",
)
@option(
    "--reference",
    type=PATH,
    default=SolveOptions.reference,
    allow_from_autoenv=False,
    metavar="CLEAN",
    help="The clean picture, or a folder of them: adds PSNR and the like.",
)
@pairs(
    "--known",
    type=FILES,
    allow_from_autoenv=False,
    metavar="UNKNOWN=FILE.npy",
    help="A parameter that is known. May be repeated.",
)
@pairs(
    "--set",
    type=SETTINGS,
    allow_from_autoenv=False,
    metavar="PART.OPTION=VALUE",
    help="Any option, as in guidance.scale=.3.",
)
@option(
    "--fit",
    type=click.Choice(FIT_CHOICES),
    default=SolveOptions.fit,
    help="What happens to a picture that the prior does not take.",
)
@option("--device", type=TEXT, default=SolveOptions.device, metavar="NAME", help="auto, cpu, cuda ...")
@option("--precision", type=click.Choice(PRECISIONS), default=SolveOptions.precision, help="Of the networks.")
@option(
    "--batch",
    type=whole(1, auto=True),
    default=ExecutionOptions.batch,
    show_default=AUTO,
    metavar="N|auto",
    help="How many draws are solved together.",
)
@option(
    "--save-every",
    type=SECONDS,
    default=ExecutionOptions.save_every,
    metavar="SECONDS",
    help="How often a solve saves its state, from which it goes on after a kill.",
)
@option(
    "--shard",
    type=SHARD,
    default=ExecutionOptions.shard,
    show_default="as torchrun or Slurm say, else none",
    allow_from_autoenv=False,
    metavar="K/N|none",
    help="Solve the K-th of N shares of a folder, K from 1 to N.",
)
@option(
    "--engine",
    type=TEXT,
    default=ExecutionOptions.engine,
    metavar="local|ray[:N]",
    help="Who solves a folder, in N processes.",
)
@config
@click.option(
    "--force",
    is_flag=True,
    default=ExecutionOptions.force,
    allow_from_autoenv=False,
    help="Solve again what is done, with other options if need be; replace files.",
)
@as_json
def solve(
    input: Path | None,
    out: str,
    operator: str,
    prior: Mapping[str, str],
    frames: bool,
    guidance: str,
    noise: float | None,
    steps: int | None,
    seed: int,
    samples: int,
    border: str | None,
    reference: Path | None,
    known: Mapping[str, Path],
    set: Mapping[str, Any],
    fit: str,
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

    INPUT is a picture or a folder of pictures, or with --frames a series. Without INPUT, a real face is blurred and
    solved, to show how it goes.
    Stopped or killed, the same command goes on where it was.
    """
    options = SolveOptions(
        input=input,
        operator=operator,
        prior=prior,
        guidance=guidance,
        frames=frames,
        noise=noise,
        steps=steps,
        seed=seed,
        samples=samples,
        border=border,
        reference=reference,
        known=known,
        set=set,
        device=device,
        precision=precision,
        fit=fit,
        origins=origins(),
    )
    execution = ExecutionOptions(batch, save_every, shard, engine, force)
    # Torch is loaded only now: a mistyped option has been reported already.
    from ipt.cli.progress import Reporter
    from ipt.folder.run import solve_all
    from ipt.folder.status import shards_running
    from ipt.report.report import write_report

    count, failed, documents = 0, 0, []
    with Reporter() as reporter:
        for outcome in solve_all(options, execution, Path(out), reporter):
            count, failed = count + 1, failed + (outcome.status == "failed")
            # Records are kept only where they are asked for: memory does not grow with the folder.
            if as_json:
                documents.append(_document(outcome))
        # The last of several shards writes it.
        if count and not shards_running(Path(out)):
            write_report(out)
        if failed:
            reporter.note(f"{failed} of {count} pictures failed; {out}/report.html says why.")
        elif count:
            reporter.note(f"See {out}/report.html.")
    if as_json:
        echo_json({"out": out, "images": sorted(documents, key=lambda document: document["input"])})
    return SOME_FAILED if failed and not under_torchrun(os.environ) else DONE


def _document(outcome: Outcome) -> dict[str, Any]:
    reason = {"reason": outcome.reason} if outcome.reason else {}
    return {"input": outcome.name, **outcome.record, "status": outcome.status, **reason}
