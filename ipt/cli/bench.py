"""`ipt bench`: protocol -> cases and solvers -> rows -> table.md, results, plots and sheet."""

from __future__ import annotations

from collections.abc import Mapping

import click

from ipt.cli import kinds
from ipt.cli.console import echo_json
from ipt.cli.errors import DONE, SOME_FAILED, resumable
from ipt.cli.options import pairs
from ipt.priors.precision import AUTO, PRECISIONS, checked

_PRECISION = "Precision of the networks; auto: bf16 where the device supports it, else fp32.  [default: auto]"
_EPILOG = """Built-in protocols: small (a face that ships, minutes on a laptop), paper-deblur-motion,
paper-deblur-gaussian and paper-turbulence (256x256, any folder of pictures), and photographs (as cameras take them, cut
from 40 larger ones). OUT gets table.md, results.csv, results.json, plots.svg, sheet.png and all pictures. The same
command continues an interrupted run. docs/benchmarks.md describes protocols."""


@click.command(epilog=_EPILOG)
@click.argument("protocol")
@click.option("-o", "--out", metavar="OUT", help="Folder for the results.")
@click.option("--images", metavar="FOLDER", help="Folder of clean pictures, or one file, instead of the protocol's.")
@pairs(
    "--prior",
    kind=kinds.specs,
    metavar="[UNKNOWN=]SPEC",
    text="A prior for all solvers, instead of the protocol's. May be repeated.",
)
@click.option(
    "--fit",
    type=click.Choice(["error", "tile"]),
    default="error",
    help="If a prior does not take the protocol's size: an error, or overlapping tiles.  [default: error]",
)
@click.option("--count", type=click.IntRange(1), metavar="N", help="Run the first N cases only.")
@click.option("--steps", type=click.IntRange(1), metavar="N", help="Steps of every solver.")
@click.option("--solvers", metavar="A,B", help="Run these solvers only, in this order.")
@click.option(
    "--samples", type=click.IntRange(1), default=1, metavar="K", help="Draws per case; several measure calibration."
)
@click.option("--seed", type=click.IntRange(0), default=0, metavar="N", help="Seed of the solvers, not of the data.")
@click.option(
    "--batch", type=click.IntRange(1), metavar="N", help="Draws that are solved together.  [default: by the device]"
)
@click.option("--device", default="auto", metavar="NAME", help="auto, cpu, cuda ...  [default: auto]")
@click.option("--precision", type=click.Choice(PRECISIONS), default=AUTO, help=_PRECISION)
@click.option("--export", metavar="FOLDER", help="Write the measurements and truths to FOLDER, and solve nothing.")
@click.option("--json", "as_json", is_flag=True, help="Write the results to standard output as JSON.")
def bench(
    protocol: str,
    out: str | None,
    images: str | None,
    prior: Mapping[str, str],
    fit: str,
    count: int | None,
    steps: int | None,
    solvers: str | None,
    samples: int,
    seed: int,
    batch: int | None,
    device: str,
    precision: str,
    export: str | None,
    as_json: bool,
) -> int:
    """Compare solvers on simulated data by a PROTOCOL: a built-in name or a YAML file."""
    if (out is None) == (export is None):
        raise click.UsageError("give one of -o OUT (to run the benchmark) and --export FOLDER (to write its data)")
    from ipt.bench.protocol import load

    chosen = load(protocol).changed(
        pictures=images,
        priors=prior,
        count=count,
        steps=steps,
        solvers=[name.strip() for name in (solvers or "").split(",") if name.strip()],
    )
    # Torch is loaded only now: a mistyped protocol has been reported already.
    from ipt.cli.progress import Reporter

    if export is not None:
        from ipt.bench.cases import export as write_cases

        number = write_cases(chosen, export)
        with Reporter() as reporter:
            reporter.note(f"{number} cases in {export}.")
        if as_json:
            echo_json({"folder": export, "cases": number})
        return DONE
    from ipt.bench.attempts import Bench, BenchOptions
    from ipt.bench.runner import run_bench
    from ipt.solve.devices import choose_device

    place = choose_device(device)
    options = BenchOptions(seed, samples, batch, place, checked(precision, place), fit == "tile")
    with Reporter() as reporter, resumable():
        result = run_bench(Bench(chosen, options), str(out), reporter)
        reporter.note(f"See {out}/table.md, plots.svg and sheet.png.")
    if as_json:
        echo_json(result.document)
    else:
        click.echo(result.table, nl=False)
    return SOME_FAILED if any(solver["failed"] for solver in result.document["solvers"]) else DONE
