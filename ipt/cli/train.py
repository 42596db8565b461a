"""`ipt train`: options -> a training description (`ipt.training.job`) -> `Trainer` -> exported weights."""

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
_START = """Initial weights: faces, faces256, natural, kernel, a folder of weights or a state.pt. The images that they
were trained on count towards --images."""
_REFINE = """A prior of half the side (named as in --start-from), to which a network for the detail of pictures twice as
large is added and trained; with --start-from, that network starts from the detail network there."""


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
@option(None, "--held-out", kinds.whole(1), "N", "Keep the first N pictures for validation.", "500, at most a tenth")
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
@option(TrainingOptions, "--images", kinds.whole(1), "N", "Length of the training, in examples.")
@option(TrainingOptions, "--batch", kinds.whole(1), "N", "Examples per step.")
@option(TrainingOptions, "--rate", float, None, "Peak learning rate.")
@option(
    TrainingOptions,
    "--precision",
    click.Choice(PRECISIONS),
    None,
    "Precision of the network; bf16 is faster on recent GPUs. Weights stay in fp32.",
)
@click.option("--compile", "compiled", is_flag=True, help="Use torch.compile.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ...")
@option(TrainingOptions, "--seed", kinds.whole(0), "N", "Seed of initial weights, order of examples and noise.")
@pairs(
    "--set",
    "settings",
    kind=kinds.values,
    metavar="NAME=VALUE",
    text="An option network.x, training.x or generator.x; it overrides the others.",
)
@click.option("--about", default="", metavar="TEXT", help="The data and its licence, for the model card.")
@click.option("--change", is_flag=True, help="Continue OUT even if options or examples differ from before.")
@click.option("--export", "export_only", is_flag=True, help="Write the present weights of OUT without more training.")
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

    Afterwards `ipt solve --prior OUT` uses it. After an interruption the same command continues; a larger --images
    continues a finished training. --start-from continues from weights alone, where there is no OUT/state.pt.
    """
    if export_only:
        return _exported(out, about, as_json)
    if bool(pictures) == bool(generator):
        raise click.UsageError("give either --from PATH or --generator NAME (or --export)")
    from ipt.images.atomic import output_folders
    from ipt.training.interrupts import caught
    from ipt.training.job import trainer as trainer_of

    sections = _sections(settings)
    source = _source(pictures, generator, size, crops, channels, held_out, sections["generator"])
    training = {"images": images, "batch": batch, "rate": rate, "precision": precision, "device": device, "seed": seed}
    # A default width would override that of the weights to start from.
    given = {"width": width} if _given("width") else {}
    job = {
        "out": out,
        "source": source,
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
    """Whether an option was given, and is not a default."""
    return click.get_current_context().get_parameter_source(name) is not ParameterSource.DEFAULT


def _source(
    pictures: str | None,
    generator: str | None,
    size: int | None,
    crops: int | None,
    channels: int | None,
    held_out: int | None,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """The "source" of the training's description; options: of the generator. UsageError where options do not fit."""
    if pictures and options:
        raise click.UsageError("--set generator.x needs --generator")
    if generator and held_out:
        raise click.UsageError("--held-out is for pictures: a generator draws its validation examples apart")
    if crops and (generator or size):
        raise click.UsageError("--crops is for pictures, and instead of --size")
    source: dict[str, Any]
    if generator:
        sizes = [size] if size else None
        source = {"generator": _factory(generator), "options": options, "channels": channels, "sizes": sizes}
    elif crops:
        source = {"photographs": pictures, "size": crops, "channels": channels, "held_out": held_out}
    else:
        source = {"pictures": pictures, "size": size, "channels": channels, "held_out": held_out}
    return {name: value for name, value in source.items() if value is not None}


def _sections(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The settings of each section, by name."""
    sections: dict[str, dict[str, Any]] = {name: {} for name in _SECTIONS}
    for name, values in grouped(settings).items():
        if name not in sections or not all(values):
            raise click.UsageError(f"--set {name}: it is {', '.join(f'{each}.NAME=VALUE' for each in _SECTIONS)}")
        sections[name] = values
    return sections


def _factory(name: str) -> str:
    """A registered generator as `ipt.training.job` names it: by the name of a built-in one, or "module:attribute"."""
    from ipt.plugins.discovery import discover
    from ipt.training.job import GENERATORS

    factory = discover().find("generator", name).factory_name
    return name if GENERATORS.get(name) == factory else factory


def _exported(out: str, about: str, as_json: bool, trainer: Trainer | None = None) -> int:
    """Export the weights in the folder `out`, print the files and return the exit code."""
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
    """A progress bar if standard error is a terminal, else a line every `_EVERY` seconds."""
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
    """Shows the reports of a training as a progress bar, and validations as tables above it."""

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
