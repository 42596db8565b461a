"""`ipt solve`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import click

from ipt.cli.console import echo_json
from ipt.cli.errors import DONE, SOME_FAILED
from ipt.folder.shards import under_torchrun
from ipt.solve.options import (
    COMMAND_LINE,
    SOLVE,
    Kind,
    OptionError,
    Options,
    layer_of_environment,
    layer_of_file,
    merged,
)

_EPILOG = """Precedence: command line, then the environment (IPT_OPERATOR, IPT_PRIOR, ...), then --config, then the
default. OUT/run.yaml, given as --config, runs again to the same result. Exit codes: 0 done, 1 error, 2 usage, 3 some
pictures failed (0 under torchrun, which would end the other ranks), 130 interrupted."""


@click.command(epilog=_EPILOG)
@click.argument("input", required=False)
@click.option("-o", "--out", required=True, metavar="OUT", help="Folder for the results.")
@click.option("--operator", metavar="NAME", help="What degraded the picture.  [default: blur]")
@click.option(
    "--prior",
    multiple=True,
    metavar="[UNKNOWN=]SPEC",
    help="What the picture, or with UNKNOWN= another unknown, is like: a name, NAME:ARGUMENT, or a path to weights. "
    "May be repeated.  [default: faces, for pictures of another size natural, and the operator's own]",
)
@click.option(
    "--frames",
    is_flag=True,
    default=None,
    help="INPUT is a series of exposures of one scene (a folder, a TIFF of several pages, an animated GIF): they make "
    "one picture.",
)
@click.option("--guidance", metavar="NAME", help="How the measurement steers the priors.  [default: proximal]")
@click.option("--noise", metavar="SIGMA|auto", help="Standard deviation of the noise, of 0..1.  [default: auto]")
@click.option("--steps", metavar="N", help="Steps, each one call of each network.  [default: the guidance's own]")
@click.option("--seed", metavar="N", help="Another seed, another draw.  [default: 0]")
@click.option("--samples", metavar="K", help="Draws; with several, their mean and spread are written.  [default: 1]")
@click.option("--border", metavar="MODE", help="What lies outside the frame: the operator's option `border`.")
@click.option("--reference", metavar="CLEAN", help="The clean picture, or a folder of them: adds PSNR and the like.")
@click.option("--known", multiple=True, metavar="UNKNOWN=FILE.npy", help="A parameter that is known. May be repeated.")
@click.option("--set", "set_", multiple=True, metavar="PART.OPTION=VALUE", help="Any option, as in guidance.scale=.3.")
@click.option("--fit", metavar="CHOICE", help="A picture that the prior does not take: error, resize, crop or tile.")
@click.option("--device", metavar="NAME", help="auto, cpu, cuda ...  [default: auto]")
@click.option("--precision", metavar="CHOICE", help="Of the networks: fp32, bf16 or fp16.  [default: fp32]")
@click.option("--batch", metavar="N|auto", help="How many draws are solved together.  [default: auto]")
@click.option(
    "--save-every",
    metavar="SECONDS",
    help="How often a solve saves its state, from which it goes on after a kill.  [default: 60]",
)
@click.option(
    "--shard",
    metavar="K/N|none",
    help="Solve the K-th of N shares of a folder, K from 1 to N.  [default: as torchrun or Slurm say, else none]",
)
@click.option("--engine", metavar="local|ray[:N]", help="Who solves a folder, in N processes.  [default: local]")
@click.option("--config", metavar="FILE", help="Options in YAML, such as the run.yaml of an earlier run.")
@click.option("--force", is_flag=True, help="Solve again what is done, with other options if need be; replace files.")
@click.option("--json", "as_json", is_flag=True, help="Write the records to standard output as JSON.")
def solve(out: str, config: str | None, force: bool, as_json: bool, set_: tuple[str, ...], **given: Any) -> int:
    """Recover the picture behind INPUT, and what degraded it.

    INPUT is a picture or a folder of pictures, or with --frames a series. Without INPUT, a real face is blurred and
    solved, to show how it goes.
    Stopped or killed, the same command goes on where it was.
    """
    options = options_from(SOLVE, {**given, "set": set_}, config)
    # Torch is loaded only now: a mistyped option has been reported already.
    from ipt.cli.progress import Reporter
    from ipt.folder.jobs import solve_all

    count, failed, documents = 0, 0, []
    with Reporter() as reporter:
        for outcome in solve_all(options, out, force, reporter):
            count, failed = count + 1, failed + (outcome.status == "failed")
            # Records are kept only where they are asked for: memory does not grow with the folder.
            if as_json:
                documents.append(_document(outcome))
        if failed:
            reporter.note(f"{failed} of {count} pictures failed; {out}/report.html says why.")
        elif count:
            reporter.note(f"See {out}/report.html.")
    if as_json:
        echo_json({"out": out, "images": sorted(documents, key=lambda document: document["input"])})
    return SOME_FAILED if failed and not under_torchrun(os.environ) else DONE


def options_from(kinds: tuple[Kind, ...], given: Mapping[str, Any], config: str | None) -> Options:
    """The options of a command from all their sources; a click.UsageError for a mistake on the command line."""
    # Click says () of a repeated option that was not given.
    typed = {name: value for name, value in given.items() if value not in (None, ())}
    layers: list[tuple[str, Mapping[str, Any]]] = [(COMMAND_LINE, typed), *layer_of_environment(kinds)]
    if config is not None:
        layers.append(layer_of_file(config))
    try:
        return merged(kinds, layers)
    except OptionError as error:
        if error.origin == COMMAND_LINE:
            raise click.UsageError(str(error)) from error
        raise


def _document(outcome: Any) -> dict[str, Any]:
    reason = {"reason": outcome.reason} if outcome.reason else {}
    return {"input": outcome.name, **outcome.record, "status": outcome.status, **reason}
