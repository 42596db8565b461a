"""`ipt simulate`: measurements of clean pictures in a folder, the truth in a folder beside them.

    OUT/a.png                 the measurement
    OUT/truth/a.png           the clean picture, as it was used
    OUT/truth/a.kernel.npy    each true parameter, and a.kernel.png, a picture of it
    OUT/truth/a.json          how it was made
    OUT/run.yaml              the options

So `ipt solve OUT -o RESULTS --reference OUT/truth` compares with all of the truth. Of several exposures, the
measurement is a folder, OUT/a/01.png ..., and each parameter (frames, C, H, W); `ipt solve OUT/a --frames` takes it.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ipt.core.errors import IptError
from ipt.core.interfaces import Generator, ParametricOperator
from ipt.core.randomness import image_seed
from ipt.images import files
from ipt.images.atomic import atomic, check_folder
from ipt.images.fields import parameter_picture
from ipt.images.files import ROUNDING_NOISE, Picture
from ipt.images.outcomes import Outcome, Watcher
from ipt.images.parameters import parameter_file, write_parameter
from ipt.images.pictures import sheet_of_frames
from ipt.images.records import file_hash, json_text, versions, write_run_yaml
from ipt.operators.compose import nominal_parameters
from ipt.plugins.building import build_component
from ipt.plugins.registry import one_line
from ipt.simulate.options import SimulateOptions
from ipt.simulate.simulating import Simulated, generator_names, generators_for, simulate


def simulate_all(options: SimulateOptions, out: str, force: bool, watcher: Watcher) -> Iterator[Outcome]:
    """Degrade every picture of `options.input` (a file or a folder) into the folder `out`.

    force: replace files that are there. A single picture's IptError is raised; in a folder it becomes an outcome.
    """
    paths = files.inputs(options.input)
    settings = options.settings()
    own = {key.removeprefix("operator."): value for key, value in settings.items() if key.startswith("operator.")}
    operator = build_component("operator", options.operator, own)
    names = generator_names(options.generator, nominal_parameters(operator))
    generators = generators_for(names, settings)
    with _gone_if_empty(Path(out), Path(out, "truth")):
        folder = check_folder(out)
        truth = check_folder(folder / "truth")
        _check_places(paths, folder, truth, force, options.frames)
        for number, path in enumerate(paths, 1):
            watcher.begin(path.name, number, len(paths))
            try:
                made = _one(options, names, generators, operator, path, folder, truth, watcher)
                outcome = Outcome(path.name, "done", made)
            except Exception as error:
                if len(paths) == 1 and path == options.input:
                    raise
                reason = str(error) if isinstance(error, IptError) else one_line(error)
                outcome = Outcome(path.name, "failed", reason=reason)
            write_run_yaml(folder, options.plain())
            watcher.end(outcome)
            yield outcome


def _one(
    options: SimulateOptions,
    names: Mapping[str, str],
    generators: Mapping[str, Generator],
    operator: ParametricOperator,
    path: Path,
    folder: Path,
    truth: Path,
    watcher: Watcher,
) -> dict[str, Any]:
    """Make and write one measurement; its record."""
    picture = files.read(path)
    clean = picture if options.depth == "input" else replace(picture, depth=int(options.depth))
    try:
        operator.parameters(clean.shape)
    except ValueError as error:
        raise IptError(f"{path.name}: {error}") from error
    seed = image_seed(options.seed, path.name)
    frames = options.frames or 1
    seeds = [seed] if frames == 1 else [image_seed(seed, f"frame {number}") for number in range(1, frames + 1)]
    made = [simulate(clean.pixels, operator, generators, options.noise, one) for one in seeds]
    measured = torch.stack([one.measurement for one in made])
    if clean.depth == 8 and 0 < options.noise < 4 * ROUNDING_NOISE:
        watcher.note(
            f"{path.name}: 8 bits, as the input; rounding adds noise of {ROUNDING_NOISE:.4f} to yours of "
            f"{options.noise:g}. --depth 16 keeps it."
        )
    record = {
        "input": path.name,
        "input_sha256": file_hash(path),
        "seed": seed,
        "noise": options.noise,
        "depth": clean.depth,
        "generators": names,
        "frames": frames,
        "shape": list(measured.shape[1:]),
        "clipped": float(((measured < 0) | (measured > 1)).double().mean()),
        "options": options.record(),
        "versions": versions(),
    }
    _write(path.stem, clean, made, record, folder, truth)
    return record


def _write(
    stem: str, clean: Picture, made: Sequence[Simulated], record: Mapping[str, Any], folder: Path, truth: Path
) -> None:
    """All files of one measurement, or none; the measurement last, so that where it is, the truth is."""
    several = len(made) > 1
    with _undone_on_error() as written:
        picture = written(truth / f"{stem}.png")
        files.write(picture, clean)
        for name in made[0].parameters:
            each = [one.parameters[name] for one in made]
            write_parameter(written(parameter_file(picture, name)), torch.stack(each) if several else each[0])
            shown = [drawn for value in each if (drawn := parameter_picture(value)) is not None]
            if shown:
                sheet = sheet_of_frames(shown) if several else shown[0]
                files.write(written(picture.with_name(f"{stem}.{name}.png")), sheet)
        with atomic(written(truth / f"{stem}.json")) as file:
            file.write(json_text(record).encode())
        if not several:
            files.write(written(folder / f"{stem}.png"), clean.with_pixels(made[0].measurement))
            return
        with _frames_folder(folder / stem) as place:
            for number, one in enumerate(made, 1):
                path = place / f"{number:0{max(2, len(str(len(made))))}}.png"
                files.write(path, clean.with_pixels(one.measurement))


@contextmanager
def _frames_folder(place: Path) -> Iterator[Path]:
    """A hidden folder that takes the place of `place` when all went well, and else goes."""
    fresh = Path(tempfile.mkdtemp(prefix=f".{place.name[:100]}.", suffix=".partial", dir=place.parent))
    try:
        yield fresh
        fresh.chmod(place.parent.stat().st_mode)
        # Only with --force is there one.
        shutil.rmtree(place, ignore_errors=True)
        fresh.rename(place)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


@contextmanager
def _gone_if_empty(*folders: Path) -> Iterator[None]:
    """Folders, a folder before what is in it, that go again if they were not there before and nothing is in them."""
    fresh = [folder for folder in folders if not folder.exists()]
    try:
        yield
    finally:
        for folder in reversed(fresh):
            with suppress(OSError):
                folder.rmdir()


@contextmanager
def _undone_on_error() -> Iterator[Any]:
    """A function that takes note of a path that is about to be written; on an error, Ctrl-C too, all of them go."""
    paths: list[Path] = []

    def written(path: Path) -> Path:
        paths.append(path)
        return path

    try:
        yield written
    except BaseException:
        for path in paths:
            path.unlink(missing_ok=True)
        raise


def _check_places(paths: list[Path], folder: Path, truth: Path, force: bool, frames: int | None) -> None:
    for path in paths:
        exposures = folder / path.stem
        if frames and path.stem == truth.name:
            raise IptError(f"the exposures of {path.name} would be in {truth}, where the truth goes; rename it")
        there = [one.name for one in exposures.iterdir()] if frames and exposures.is_dir() else []
        if not all(re.fullmatch(r"\d+\.png", name) for name in there):
            raise IptError(f"{exposures} holds other files than exposures; choose another folder with -o")
        if path.parent.resolve() in (folder.resolve(), truth.resolve()):
            raise IptError(
                f"the measurements would replace the clean pictures in {path.parent}; choose another folder with -o"
            )
        for place in (exposures if frames else folder / f"{path.stem}.png", truth / f"{path.stem}.png"):
            if os.path.lexists(place) and not force:
                raise IptError(f"{place} is there already; choose another folder with -o, or replace it with --force")
