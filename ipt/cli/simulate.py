"""`ipt simulate`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ipt.cli.console import echo_json
from ipt.cli.errors import DONE, SOME_FAILED
from ipt.cli.options import (
    COMPONENTS,
    DEVIATION,
    ENVIRONMENT,
    PATH,
    SETTINGS,
    SPECS,
    TEXT,
    as_json,
    config,
    option,
    origins,
    pairs,
    whole,
)
from ipt.simulate.options import DEPTHS, SimulateOptions

_EPILOG = """Written: OUT/a.png, the measurement; OUT/truth/a.png, a.kernel.npy, a.kernel.png and a.json. Then
`ipt solve OUT -o RESULTS --reference OUT/truth` compares with the truth."""


@click.command(epilog=_EPILOG, context_settings=ENVIRONMENT)
@click.argument("input", required=False, metavar="CLEAN", type=PATH)
@click.option("-o", "--out", required=True, allow_from_autoenv=False, metavar="OUT", help="Folder for measurements.")
@option(
    "--operator", type=COMPONENTS, default=SimulateOptions.operator, metavar="NAME", help="What degrades the picture."
)
@pairs(
    "--generator",
    type=SPECS,
    allow_from_autoenv=False,
    metavar="[PARAMETER=]NAME",
    help="What draws the operator's parameters; `ipt list generator`.  [default: each one's usual]",
)
@option(
    "--noise",
    type=DEVIATION,
    default=SimulateOptions.noise,
    # IPT_NOISE may say "auto", which means nothing here.
    allow_from_autoenv=False,
    metavar="SIGMA",
    help="Standard deviation of the noise, of 0..1.",
)
@option(
    "--frames",
    type=whole(2),
    default=SimulateOptions.frames,
    allow_from_autoenv=False,
    metavar="N",
    help="So many exposures of each picture, in a folder of its own.",
)
@option(
    "--seed", type=whole(0), default=SimulateOptions.seed, metavar="N", help="Another seed, other parameters and noise."
)
@option(
    "--border",
    type=TEXT,
    default=SimulateOptions.border,
    metavar="MODE",
    help="What lies outside the frame: the operator's option `border`.",
)
@pairs(
    "--set",
    type=SETTINGS,
    allow_from_autoenv=False,
    metavar="SECTION.OPTION=VALUE",
    help="As in operator.kernel_size=33.",
)
@option(
    "--depth",
    type=click.Choice(DEPTHS),
    default=SimulateOptions.depth,
    allow_from_autoenv=False,
    help="Bits of the measurement.",
)
@config
@click.option("--force", is_flag=True, allow_from_autoenv=False, help="Replace files that are there.")
@as_json
def simulate(
    input: Path | None,
    out: str,
    operator: str,
    generator: Mapping[str, str],
    noise: float,
    frames: int | None,
    seed: int,
    border: str | None,
    set: Mapping[str, Any],
    depth: str,
    force: bool,
    as_json: bool,
) -> int:
    """Degrade the picture CLEAN, or every picture of a folder, and keep the truth."""
    if input is None:
        raise click.UsageError("give a clean picture or a folder of them: ipt simulate CLEAN -o OUT")
    options = SimulateOptions(
        input=input,
        operator=operator,
        generator=generator,
        noise=noise,
        seed=seed,
        border=border,
        set=set,
        frames=frames,
        depth=depth,
        origins=origins(),
    )
    from ipt.cli.progress import Reporter
    from ipt.simulate.dataset import simulate_all

    with Reporter() as reporter:
        outcomes = list(simulate_all(options, out, force, reporter))
    if as_json:
        images = [{"input": o.name, **o.record, "status": o.status, "reason": o.reason} for o in outcomes]
        echo_json({"out": out, "images": images})
    return SOME_FAILED if any(outcome.status == "failed" for outcome in outcomes) else DONE
