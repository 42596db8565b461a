"""`ipt train`: a diffusion prior from a folder of pictures or from a generator."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import click
from click.core import ParameterSource

from ipt.cli import kinds
from ipt.cli.console import echo_json, notes
from ipt.cli.errors import DONE
from ipt.cli.options import as_json, option, pairs
from ipt.plugins.options import grouped
from ipt.training.options import PRECISIONS, TrainingOptions

if TYPE_CHECKING:
    from ipt.training.progress import Report
    from ipt.training.trainer import Trainer

_EVERY = 30.0
"""Seconds between lines where standard error is no terminal."""
_SECTIONS = ("network", "training", "generator")
_SIZE = "64; an array's own; a generator: 16 to 64"
_START = """Weights to begin with: faces, faces256, natural, kernel, a folder of weights or a state.pt. The images they
saw count."""
_REFINE = """A prior of half the side (named as in --start-from): trains what pictures twice as large have beyond it;
with --start-from too, goes on with the detail there."""


@click.command("train")
@click.option(
    "-o", "--out", required=True, metavar="OUT", type=click.Path(file_okay=False), help="Folder of the prior."
)
@click.option(
    "--from", "pictures", metavar="PATH", help="Pictures: a folder, a .npy array (N, H, W, C), or a .npz pack of JPEGs."
)
@click.option("--generator", metavar="NAME", help="A generator of operator parameters (ipt list generator).")
@option(None, "--size", kinds.whole(1), "N", "Side in pixels.", _SIZE)
@click.option(
    "--crops", type=kinds.whole(1), metavar="N", help="Train on squares of N pixels, cut at random from whole pictures."
)
@option(None, "--channels", kinds.whole(1), "N", "1 grey, 3 colour.", "the pictures'; a generator: 1")
@option(None, "--held-out", kinds.whole(1), "N", "Pictures for validation, the first.", "500, at most a tenth")
@click.option("--start-from", "start", metavar="PRIOR", help=_START)
@click.option("--refine", metavar="PRIOR", help=_REFINE)
@click.option(
    "--width",
    type=kinds.whole(1),
    default=48,
    metavar="N",
    show_default="48; with --start-from its own",
    help="Features of the network's first level.",
)
@option(TrainingOptions, "--images", kinds.whole(1), "N", "Examples to see in all.")
@option(TrainingOptions, "--batch", kinds.whole(1), "N", "Examples a step.")
@option(TrainingOptions, "--rate", float, None, "Peak step size.")
@option(
    TrainingOptions,
    "--precision",
    click.Choice(PRECISIONS),
    None,
    "Of the network's arithmetic; bf16 is faster on recent GPUs. Weights stay in fp32.",
)
@click.option("--compile", "compiled", is_flag=True, help="Use torch.compile.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ...")
@option(TrainingOptions, "--seed", kinds.whole(0), "N", "Of the initial weights, the order of examples and noise.")
@pairs(
    "--set",
    "settings",
    kind=kinds.values,
    metavar="NAME=VALUE",
    text="network.x, training.x or generator.x; it overrides.",
)
@click.option("--about", default="", metavar="TEXT", help="What the data is and its licence, for the card.")
@click.option("--change", is_flag=True, help="Continue OUT although options or examples differ from before.")
@click.option("--export", "export_only", is_flag=True, help="Write the weights of OUT as it is, training no further.")
@as_json
def train(
    out: str,
    pictures: str | None,
    generator: str | None,
    size: int | None,
    crops: int | None,
    channels: int | None,
    held_out: int | None,
    start: str | None,
    refine: str | None,
    width: int,
    images: int,
    batch: int,
    rate: float,
    precision: str,
    compiled: bool,
    device: str,
    seed: int,
    settings: Mapping[str, Any],
    about: str,
    change: bool,
    export_only: bool,
    as_json: bool,
) -> int:
    """Train a diffusion prior from pictures (--from) or from a generator (--generator).

    Afterwards `--prior OUT` uses it. Run the same command again to continue what was interrupted: nothing is lost. A
    larger --images continues what was finished, and --start-from adds to weights where no more than these are left.
    """
    if export_only:
        return _exported(out, about, as_json)
    if bool(pictures) == bool(generator):
        raise click.UsageError("give either --from PATH or --generator NAME (or --export)")
    from ipt.images.atomic import output_folders
    from ipt.training.interrupts import caught
    from ipt.training.job import trainer as trainer_of

    sections = _sections(settings)
    if pictures and sections["generator"]:
        raise click.UsageError("--set generator.x needs --generator")
    if generator and held_out:
        raise click.UsageError("--held-out is for pictures: a generator draws its validation examples apart")
    if crops and (generator or size):
        raise click.UsageError("--crops is for pictures, and instead of --size")
    source: dict[str, Any] = {"pictures": pictures, "size": size, "channels": channels, "held_out": held_out}
    if crops:
        source = {"photographs": pictures, "size": crops, "channels": channels, "held_out": held_out}
    elif generator:
        source = {"generator": _factory(generator), "options": sections["generator"], "channels": channels}
        source["sizes"] = [size] if size else None
    training = {"images": images, "batch": batch, "rate": rate, "precision": precision, "device": device, "seed": seed}
    given = {"width": width} if _given("width") else {}
    job = {
        "out": out,
        "source": {name: value for name, value in source.items() if value is not None},
        "network": given | sections["network"],
        "training": {**training, "compile": compiled, **sections["training"]},
        "start": start,
        "refine": refine,
    }
    console = notes()
    with output_folders(out):
        trainer = trainer_of(job, change, lambda line: console.print(line, soft_wrap=True), {"width": width})
        with caught(trainer.stop) as signal, _display() as display:
            for report in trainer.steps():
                display.show(report)
    if signal.number is not None:
        console.print(
            f"Stopped and saved at {trainer.images:,} images. Run the same command again to continue.", soft_wrap=True
        )
        return signal.exit_code
    console.print(f"Done: use it with --prior {out}", soft_wrap=True)
    return _exported(out, about, as_json, trainer)


def _given(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) is not ParameterSource.DEFAULT


def _sections(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The settings of each section, by name."""
    sections: dict[str, dict[str, Any]] = {name: {} for name in _SECTIONS}
    for name, values in grouped(settings).items():
        if name not in sections or not all(values):
            raise click.UsageError(f"--set {name}: it is {', '.join(f'{each}.NAME=VALUE' for each in _SECTIONS)}")
        sections[name] = values
    return sections


def _factory(name: str) -> str:
    """What `ipt.training.job` calls a registered generator: a built-in's name, or "module:attribute"."""
    from ipt.plugins.discovery import discover
    from ipt.training.job import GENERATORS

    factory = discover().find("generator", name).factory_name
    return name if GENERATORS.get(name) == factory else factory


def _exported(out: str, about: str, as_json: bool, trainer: Trainer | None = None) -> int:
    """Export the weights in the folder and print what was written."""
    from ipt.training.export import export

    files = export(out, about, trainer.source if trainer else None)
    if as_json:
        document: dict[str, Any] = {"out": out, "files": [str(file) for file in files]}
        if trainer:
            validation = trainer.history[-1]["validation"]
            document |= {"images": trainer.images, "validation": {f"{s:g}": error for s, error in validation.items()}}
        echo_json(document)
    else:
        for file in files:
            click.echo(str(file))
    return DONE


class _Display(Protocol):
    def show(self, report: Report) -> None: ...


@contextmanager
def _display() -> Iterator[_Display]:
    """A bar where standard error is a terminal, else plain lines now and then."""
    from ipt.training.progress import Lines

    console = notes()
    if not sys.stderr.isatty():
        yield Lines(lambda line: console.print(line, soft_wrap=True), _EVERY)
        return
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} images"),
        TextColumn("{task.fields[details]}", style="dim"),
    )
    with Progress(*columns, console=console, transient=False) as progress:
        yield _Bar(progress)


class _Bar:
    """The reports of a training as a rich progress bar; validation as a table above it."""

    def __init__(self, progress: Any):
        self._progress = progress
        self._task: Any = None

    def show(self, report: Report) -> None:
        from ipt.training.progress import time_left, validation_rows

        if self._task is None:
            self._task = self._progress.add_task("", total=report.total, details="")
        details = f"loss {report.loss:.4f}  {report.rate:.3g} images/s  {time_left(report)} left"
        self._progress.update(self._task, completed=min(report.images, report.total), details=details)
        if report.validation:
            from rich.table import Table

            table = Table(title=f"validation after {report.images:,} images", title_justify="left")
            for column in ("sigma", "mse", "PSNR"):
                table.add_column(column, justify="right")
            for row in validation_rows(report.validation):
                table.add_row(*row)
            self._progress.console.print(table)
