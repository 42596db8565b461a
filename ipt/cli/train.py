"""`ipt train`: a diffusion prior from a folder of pictures or from a generator."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import click
from click.core import ParameterSource

from ipt.cli.console import echo_json, notes
from ipt.cli.errors import DONE
from ipt.training.options import PRECISIONS, TrainingOptions

if TYPE_CHECKING:
    from ipt.training.trainer import Report, Trainer

_EVERY = 30.0
"""Seconds between lines where standard error is no terminal."""
_SECTIONS = ("network", "training", "generator")


@click.command("train")
@click.option(
    "-o", "--out", required=True, metavar="OUT", type=click.Path(file_okay=False), help="Folder for the prior."
)
@click.option(
    "--from", "pictures", metavar="PATH", help="Pictures: a folder, a .npy array (N, H, W, C), or a .npz pack of JPEGs."
)
@click.option("--generator", metavar="NAME", help="A generator of operator parameters (ipt list generator).")
@click.option(
    "--size", type=click.IntRange(1), help="Side in pixels  [default: 64; an array's own; a generator: 16 to 64]."
)
@click.option(
    "--channels", type=click.IntRange(1), help="1 grey, 3 colour  [default: as the pictures have; a generator: 1]."
)
@click.option(
    "--held-out", type=click.IntRange(1), help="Pictures for validation, the first  [default: 500, at most a tenth]."
)
@click.option(
    "--start-from",
    "start",
    metavar="PRIOR",
    help="Weights to begin with: faces, faces256, natural, kernel, a folder of weights or a state.pt. The images they "
    "saw count.",
)
@click.option(
    "--refine",
    metavar="PRIOR",
    help="A prior of half the side (named as in --start-from): trains what pictures twice as large have beyond it; "
    "with --start-from too, goes on with the detail there.",
)
@click.option(
    "--width",
    type=click.IntRange(1),
    default=48,
    help="Features of the network's first level  [default: 48; with --start-from its own].",
)
@click.option(
    "--images",
    type=click.IntRange(1),
    default=TrainingOptions.images,
    show_default=True,
    help="Examples to see in all.",
)
@click.option(
    "--batch", type=click.IntRange(1), default=TrainingOptions.batch, show_default=True, help="Examples a step."
)
@click.option("--rate", type=float, default=TrainingOptions.rate, show_default=True, help="Peak step size.")
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default=TrainingOptions.precision,
    show_default=True,
    help="Of the network's arithmetic; bf16 is faster on recent GPUs. Weights stay in fp32.",
)
@click.option("--compile", "compiled", is_flag=True, help="Use torch.compile.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ...")
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=TrainingOptions.seed,
    show_default=True,
    help="Of the initial weights, the order of examples and their noise.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="network.x, training.x or generator.x; the last word.",
)
@click.option("--about", default="", metavar="TEXT", help="What the data is and its licence, for the card.")
@click.option("--change", is_flag=True, help="Continue OUT although options or examples differ from before.")
@click.option(
    "--export", "export_only", is_flag=True, help="Write the weights of OUT as it stands, training no further."
)
@click.option("--json", "as_json", is_flag=True, help="Write a summary in JSON to standard output.")
def train(**given: Any) -> int:
    """Train a diffusion prior from pictures (--from) or from a generator (--generator).

    Afterwards `--prior OUT` uses it. Run the same command again to continue what was interrupted: nothing is lost. A
    larger --images continues what was finished, and --start-from adds to weights where no more than these are left.
    """
    if given["export_only"]:
        return _exported(given)
    if bool(given["pictures"]) == bool(given["generator"]):
        raise click.UsageError("give either --from PATH or --generator NAME (or --export)")
    from ipt.images.atomic import check_folder
    from ipt.training.interrupts import caught
    from ipt.training.job import trainer as trainer_of

    job = _job(given)
    folder = check_folder(given["out"])
    console = notes()
    usual = {"width": given["width"]}
    trainer = trainer_of(job, given["change"], lambda line: console.print(line, soft_wrap=True), usual)
    with caught(trainer.stop) as signal, _display() as display:
        for report in trainer.steps():
            display.show(report)
    if signal.number is not None:
        console.print(
            f"Stopped and saved at {trainer.images:,} images. Run the same command again to continue.", soft_wrap=True
        )
        return signal.exit_code
    console.print(f"Done: use it with --prior {folder}", soft_wrap=True)
    return _exported(given, trainer)


def _job(given: dict[str, Any]) -> dict[str, Any]:
    """The description of `ipt.training.job` that the command line asks for."""
    sections: dict[str, dict[str, Any]] = {name: {} for name in _SECTIONS}
    if click.get_current_context().get_parameter_source("width") is not ParameterSource.DEFAULT:
        sections["network"]["width"] = given["width"]
    for name in ("images", "batch", "rate", "precision", "device", "seed"):
        sections["training"][name] = given[name]
    sections["training"]["compile"] = given["compiled"]
    for name, value in map(_setting, given["settings"]):
        section, _, option = name.partition(".")
        sections[section][option] = value
    if given["pictures"]:
        if sections["generator"]:
            raise click.UsageError("--set generator.x needs --generator")
        names = ("pictures", "size", "channels", "held_out")
        source = {name: given[name] for name in names if given[name] is not None}
    else:
        if given["held_out"]:
            raise click.UsageError("--held-out is for pictures: a generator draws its validation examples apart")
        source = {"generator": _factory(given["generator"]), "options": sections["generator"]}
        if given["size"]:
            source["sizes"] = [given["size"]]
        if given["channels"]:
            source["channels"] = given["channels"]
    job = {"out": given["out"], "source": source, "network": sections["network"], "training": sections["training"]}
    return {**job, **{key: given[key] for key in ("start", "refine") if given[key]}}


def _setting(text: str) -> tuple[str, Any]:
    from ipt.plugins.scalars import scalar

    name, equals, value = text.partition("=")
    section, dot, option = name.partition(".")
    if not (equals and dot and option) or section not in _SECTIONS:
        raise click.UsageError(f"--set {text}: it is {', '.join(f'{s}.NAME=VALUE' for s in _SECTIONS)}")
    return name, scalar(value)


def _factory(name: str) -> str:
    """What `ipt.training.job` calls a registered generator: a built-in's name, or "module:attribute"."""
    from ipt.plugins.discovery import discover
    from ipt.training.job import GENERATORS

    factory = discover().find("generator", name).factory_name
    return name if GENERATORS.get(name) == factory else factory


def _exported(given: dict[str, Any], trainer: Trainer | None = None) -> int:
    from ipt.training.export import export

    files = export(given["out"], given["about"], trainer.source if trainer else None)
    if given["as_json"]:
        told: dict[str, Any] = {"out": given["out"], "files": [str(file) for file in files]}
        if trainer:
            validation = trainer.history[-1]["validation"]
            told |= {"images": trainer.images, "validation": {f"{s:g}": error for s, error in validation.items()}}
        echo_json(told)
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
