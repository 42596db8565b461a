"""`ipt simulate`."""

from __future__ import annotations

from typing import Any

import click

from ipt.cli.console import echo_json
from ipt.cli.errors import DONE, SOME_FAILED
from ipt.cli.solve import options_from
from ipt.solve.options import SIMULATE

_EPILOG = """Written: OUT/a.png, the measurement; OUT/truth/a.png, a.kernel.npy, a.kernel.png and a.json. Then
`ipt solve OUT -o RESULTS --reference OUT/truth` compares with the truth."""


@click.command(epilog=_EPILOG)
@click.argument("clean", required=False)
@click.option("-o", "--out", required=True, metavar="OUT", help="Folder for the measurements.")
@click.option("--operator", metavar="NAME", help="What degrades the picture.  [default: blur]")
@click.option(
    "--generator",
    multiple=True,
    metavar="[PARAMETER=]NAME",
    help="What draws the operator's parameters; `ipt list generator`.  [default: each one's usual]",
)
@click.option("--noise", metavar="SIGMA", help="Standard deviation of the noise, of 0..1.  [default: 0.01]")
@click.option("--frames", metavar="N", help="So many exposures of each picture, in a folder of its own.")
@click.option("--seed", metavar="N", help="Another seed, other parameters and noise.  [default: 0]")
@click.option("--border", metavar="MODE", help="What lies outside the frame: the operator's option `border`.")
@click.option("--set", "set_", multiple=True, metavar="SECTION.OPTION=VALUE", help="As in operator.kernel_size=33.")
@click.option("--depth", metavar="BITS", help="Of the measurement: input, 8 or 16.  [default: input]")
@click.option("--config", metavar="FILE", help="Options in YAML, such as the run.yaml of an earlier run.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
@click.option("--json", "as_json", is_flag=True, help="Write the records to standard output as JSON.")
def simulate(
    clean: str | None, out: str, config: str | None, force: bool, as_json: bool, set_: tuple[str, ...], **given: Any
) -> int:
    """Degrade the picture CLEAN, or every picture of a folder, and keep the truth."""
    options = options_from(SIMULATE, {**given, "input": clean, "set": set_}, config)
    if options["input"] is None:
        raise click.UsageError("give a clean picture or a folder of them: ipt simulate CLEAN -o OUT")
    from ipt.cli.progress import Reporter
    from ipt.simulate.simulations import simulate_all

    with Reporter() as reporter:
        outcomes = list(simulate_all(options, out, force, reporter))
    if as_json:
        images = [{"input": o.name, **o.record, "status": o.status, "reason": o.reason} for o in outcomes]
        echo_json({"out": out, "images": images})
    return SOME_FAILED if any(outcome.status == "failed" for outcome in outcomes) else DONE
