"""`ipt simulate`: measurements of clean pictures in a folder, the truth in a folder beside them.

    OUT/a.png                 the measurement
    OUT/truth/a.png           the clean picture, as it was used
    OUT/truth/a.kernel.npy    each true parameter, and a.kernel.png, a picture of it
    OUT/truth/a.json          how it was made
    OUT/run.yaml              the options

A measurement that is no picture (`ipt.PhysicalUnits`, or other channels than 1 and 3) is OUT/a.npy, unscaled; so is a
clean picture of other channels, OUT/truth/a.npy. With several exposures the measurement is a folder, OUT/a/01.png ...,
and each parameter is (frames, C, H, W), or (C, H, W) if the frames share it (`ipt.ParameterSpec.shared`).

`ipt solve OUT -o RESULTS --reference OUT/truth` compares results with the truth; `ipt solve OUT/a --frames` takes the
exposures of one scene.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ipt.core.abilities import MeasurementSpec
from ipt.core.errors import IptError, Misuse
from ipt.core.operator import Generator, ParametricOperator
from ipt.images import files, measurements
from ipt.images.atomic import atomic, output_folders, undone_on_error
from ipt.images.choices import ARRAY_SUFFIXES
from ipt.images.fields import parameter_picture
from ipt.images.files import ROUNDING_NOISE, Picture
from ipt.images.measurements import measured, own_noise, read_levels
from ipt.images.names import beginning, fitting
from ipt.images.noise import Poisson, check_level, largest, plain
from ipt.images.outcomes import Outcome, ProgressListener
from ipt.images.parameters import parameter_file, write_parameter
from ipt.images.pictures import sheet_of_frames
from ipt.images.ranges import check_picture
from ipt.images.records import file_hash, json_text, versions, write_run_yaml
from ipt.images.video import LOSSLESS, write_video
from ipt.linalg.random import image_seed
from ipt.operators.compose import nominal_parameters
from ipt.plugins.building import build_component
from ipt.plugins.faults import located
from ipt.simulate.camera import Camera
from ipt.simulate.clip import simulate_frames
from ipt.simulate.options import NOISE, SimulateOptions
from ipt.simulate.simulation import Simulation, check_camera, generator_names, generators_for, section

_SUFFIXES = (".png", *ARRAY_SUFFIXES)
_NO_PICTURE = "write it as an array (format=npy), or let the operator say what it measures (ipt.PhysicalUnits)"


def simulate_all(options: SimulateOptions, out: str, force: bool, listener: ProgressListener) -> Iterator[Outcome]:
    """Degrade every picture of `options.input`, a file or a folder, into the folder `out`.

    Args:
        options: how.
        out: the folder of the measurements; the truth is in its subfolder `truth`.
        force: replace files that are there already.
        listener: is told of every picture.

    Yields:
        The outcome of each picture.

    Raises:
        IptError: Something cannot be built or written, or the single picture cannot be simulated. In a folder, the
            failure of one picture is its outcome.
    """
    paths = files.inputs(options.input)
    dataset = _dataset(options, out)
    with output_folders(dataset.folder, dataset.truth):
        for path in paths:
            dataset.check_place(path, force)
        for number, path in enumerate(paths, 1):
            listener.begin(path.name, number, len(paths))
            try:
                outcome = Outcome(path.name, "done", dataset.add(path, listener))
            except Exception as error:
                if len(paths) == 1 and path == options.input:
                    raise
                reason = str(error) if isinstance(error, IptError) else located(error)
                outcome = Outcome(path.name, "failed", reason=reason)
            write_run_yaml(dataset.folder, dataset.options.plain())
            listener.end(outcome)
            yield outcome


def _dataset(options: SimulateOptions, out: str) -> _Dataset:
    """Operator, generators and camera that the options name, checked against each other."""
    settings = options.settings()
    camera = Camera(options.rotation, options.linear_light, options.exposure, options.jpeg)
    options.check_formats()
    operator = build_component("operator", options.operator, section(settings, "operator"))
    check_camera(operator, camera, options.cut)
    spec = measured(operator)
    if spec is not None and (of_pictures := options.of_pictures()):
        raise Misuse(f"the operator measures {spec.meaning}, which is no picture; drop {' and '.join(of_pictures)}")
    check_level(options.noise, spec is None)
    if options.noise is None:
        usual = own_noise(spec)
        options = replace(options, noise=NOISE if usual is None else usual)
    names = generator_names(options.generator, nominal_parameters(operator))
    generators = generators_for(names, settings)
    return _Dataset(options, operator, names, generators, camera, Path(out), Path(out, "truth"), spec)


@dataclass(frozen=True)
class _Dataset:
    """The folders, and what measurements are made with.

    Attributes:
        options: of the command, with a noise level.
        operator: the forward model.
        names: registered names of the generators, by parameter.
        generators: the generators, by parameter.
        camera: what is added to the operator.
        folder: where measurements go.
        truth: where the truth goes.
        spec: what the operator measures where that is no picture, else None.
    """

    options: SimulateOptions
    operator: ParametricOperator
    names: Mapping[str, str]
    generators: Mapping[str, Generator]
    camera: Camera
    folder: Path
    truth: Path
    spec: MeasurementSpec | None

    def check_place(self, path: Path, force: bool) -> None:
        """IptError where the files of a picture's measurement would replace other files.

        Args:
            path: of the clean picture.
            force: whether files of an earlier measurement may be replaced.
        """
        stem, frames = fitting(path.stem), self.options.frames
        exposures = self.folder / (f"{stem}{LOSSLESS}" if self.options.video else stem)
        if frames and stem == self.truth.name:
            raise IptError(f"the exposures of {path.name} would be in {self.truth}, where the truth goes; rename it")
        there = [one.name for one in exposures.iterdir()] if frames and exposures.is_dir() else []
        if not all(re.fullmatch(r"\d+\.(png|npy|npz)", name) for name in there):
            raise IptError(f"{exposures} holds other files than exposures; choose another folder (out=)")
        if os.path.realpath(path.parent) in (os.path.realpath(self.folder), os.path.realpath(self.truth)):
            raise IptError(
                f"the measurements would replace the clean pictures in {path.parent}; choose another folder (out=)"
            )
        each = [place / f"{stem}{suffix}" for place in (self.folder, self.truth) for suffix in _SUFFIXES]
        for place in [exposures, *each] if frames else each:
            if os.path.lexists(place) and not force:
                raise IptError(f"{place} is there already; choose another folder (out=), or replace it (force=True)")

    def add(self, path: Path, listener: ProgressListener) -> dict[str, Any]:
        """Simulate and write the measurement of one clean picture; returns its record."""
        options, clean = self.options, self._clean(path)
        seed = image_seed(options.seed, path.name)
        noise = read_levels(options.noise) if isinstance(options.noise, Path) else options.noise or 0.0
        try:
            made, moving = simulate_frames(
                clean.pixels,
                self.operator,
                self.generators,
                noise,
                seed,
                options.frames or 1,
                options.cut,
                None if self.camera == Camera() else self.camera,
                options.moving,
            )
        except ValueError as error:
            raise (Misuse if isinstance(error, Misuse) else IptError)(f"{path.name}: {error}") from error
        small = isinstance(noise, float) and 0 < noise < 4 * ROUNDING_NOISE
        if small and clean.depth == 8 and not self.camera.jpeg and self._suffix(made[0].measurement) == ".png":
            listener.note(
                f"{path.name}: 8 bits, as the input; rounding adds noise of {ROUNDING_NOISE:.4f} to yours of "
                f"{noise:g}. depth=16 keeps it."
            )
        record = self._record(path, clean, seed, made)
        self._check_picture(made[0].measurement, noise)
        self._write(fitting(path.stem), clean, made, moving, record)
        return record

    def _clean(self, path: Path) -> Picture:
        """The clean picture of a file, with the depth that its measurement is to have."""
        stored = measurements.read(path)
        picture = stored if measurements.holds_array(stored) else stored.in_used_bits(stored.used_bits)
        if self.options.depth != "input":
            return replace(picture, depth=int(self.options.depth))
        return replace(picture, depth=8 if self.camera.jpeg else picture.depth)

    def _record(self, path: Path, clean: Picture, seed: int, made: Sequence[Simulation]) -> dict[str, Any]:
        """What is written beside the truth: how the measurement was made."""
        record = {
            "input": path.name,
            "input_sha256": file_hash(path),
            "seed": seed,
            "noise": plain(self.options.noise),
            "depth": clean.depth,
            "generators": self.names,
            "frames": len(made),
            "shape": list(made[0].measurement.shape),
            "clipped": sum(one.clipped for one in made) / len(made),
            "camera": asdict(self.camera),
            "options": self.options.record(),
            "versions": versions(),
        }
        if self.camera.rotation:
            record["rotation_directions"] = [one.direction for one in made]
        return record

    def _check_picture(self, measurement: Tensor, noise: float | Poisson | Tensor) -> None:
        """IptError where a measurement is written as a picture and its values are none."""
        if self.camera == Camera() and self._suffix(measurement) == ".png":
            check_picture("what the operator measures", measurement.numpy(), largest(noise), _NO_PICTURE)

    def _suffix(self, measurement: Tensor) -> str:
        """Suffix of the file of a measurement (C, H, W)."""
        if self.options.format != "png":
            return f".{self.options.format}"
        return ".png" if self.spec is None and measurements.fits_picture(measurement) else ".npy"

    def _save(self, path: Path, picture: Picture, is_measured: bool = False) -> None:
        if path.suffix == ".png":
            files.write(path, picture)
            return
        is_complex = is_measured and self.spec is not None and self.spec.is_complex
        measurements.write(path, picture.pixels, "measurement" if is_measured else "image", is_complex)

    def _write(
        self,
        stem: str,
        clean: Picture,
        made: Sequence[Simulation],
        moving: Tensor | None,
        record: Mapping[str, Any],
    ) -> None:
        """Write all files of one measurement, or none. The measurement comes last: where it exists, the truth does."""
        with undone_on_error() as written:
            truth = made[0].clean
            is_picture = measurements.fits_picture(truth) and not measurements.holds_array(clean)
            picture = written(self.truth / f"{stem}{'.png' if is_picture else '.npy'}")
            self._save(picture, clean.with_pixels(truth))
            specs = nominal_parameters(self.operator)
            for name in made[0].parameters:
                values = [one.parameters[name] for one in (made[:1] if specs[name].shared else made)]
                stored = torch.stack(values) if len(values) > 1 else values[0]
                write_parameter(written(parameter_file(picture, name)), stored)
                shown = [drawn for value in values if (drawn := parameter_picture(value, truth)) is not None]
                if shown:
                    sheet = sheet_of_frames(shown) if len(shown) > 1 else shown[0]
                    files.write(written(picture.with_name(f"{stem}.{name}.png")), sheet)
            if moving is not None:
                write_parameter(written(parameter_file(picture, "moving")), moving)
            with atomic(written(self.truth / f"{stem}.json")) as file:
                file.write(json_text(record).encode())
            suffix = self._suffix(made[0].measurement)
            shots = [clean.with_pixels(one.measurement) for one in made]
            if len(made) == 1:
                self._save(written(self.folder / f"{stem}{suffix}"), shots[0], True)
            elif self.options.video:
                rate = Fraction(self.options.video).limit_denominator(1001)
                write_video(written(self.folder / f"{stem}{LOSSLESS}"), rate, shots)
            else:
                with _frames_folder(self.folder / stem) as place:
                    for number, one in enumerate(shots, 1):
                        self._save(place / f"{number:0{max(2, len(str(len(made))))}}{suffix}", one, True)
        # An earlier measurement that is replaced may have had files of another kind.
        for folder, kept in ((self.folder, suffix), (self.truth, picture.suffix)):
            for other in {*_SUFFIXES} - {kept}:
                (folder / f"{stem}{other}").unlink(missing_ok=True)


@contextmanager
def _frames_folder(place: Path) -> Iterator[Path]:
    """A hidden folder that takes the place of `place` on success, and is removed on failure."""
    fresh = Path(tempfile.mkdtemp(prefix=f".{beginning(place.name)}.", suffix=".partial", dir=place.parent))
    try:
        yield fresh
        fresh.chmod(place.parent.stat().st_mode)
        # There is one only with `force`: `check_place` has refused it otherwise.
        shutil.rmtree(place, ignore_errors=True)
        fresh.rename(place)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
