"""The cases of a protocol: the n-th clean picture, degraded by the n-th test parameters, with the truth.

Parameters and noise of case n depend on the protocol's seed and on n only, so that every folder of pictures is degraded
by the same test kernels and fields.

`export` writes the cases as files, so that other codes can be compared on the same data;
`ipt solve FOLDER --reference FOLDER/truth` reads them too:

    FOLDER/protocol.yaml
    FOLDER/00003.npy                   the measurement, float32 (3, S, S), noise and all; 00003.png: at 16 bits, clipped
    FOLDER/truth/00003.png             the clean picture, at 16 bits
    FOLDER/truth/00003.kernel.npy      the true parameter, float32 (C, h, w)
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from ipt.bench import photographs
from ipt.bench.protocol import SHIPPED, Protocol
from ipt.core.errors import IptError
from ipt.core.operator import Generator, ParametricOperator
from ipt.images import files
from ipt.images.atomic import atomic, check_folder
from ipt.images.files import Picture
from ipt.images.fit import as_colour, resized
from ipt.images.parameters import parameter_file, write_parameter
from ipt.linalg.random import image_seed
from ipt.plugins.building import build_component
from ipt.plugins.scalars import dump_yaml
from ipt.simulate.simulation import simulate
from ipt.solve.example import NAME, face

CHANNELS = 3


@dataclass(frozen=True)
class Case:
    """One measurement with its truth.

    Attributes:
        stem: Number of the case, such as "00003".
        picture: Name of the file of the clean picture.
        clean: (3, S, S) in 0..1.
        measurement: (3, S, S), not clipped.
        parameters: The true parameters by name, (C, H, W).
        name: Solvers' seeds depend on it and on the run's seed.
        digest: Of the clean picture and the measurement.
    """

    stem: str
    picture: str
    clean: Tensor
    measurement: Tensor
    parameters: Mapping[str, Tensor]
    name: str
    digest: str


@dataclass(frozen=True)
class Cases:
    """The cases of a protocol, each made when it is indexed, so that a thousand take no more memory than one.

    Attributes:
        protocol: Of the cases.
        operator: That makes the measurements.
        generators: Of the operator's parameters, by name.
        paths: Of the clean pictures; empty: the shipped face and its mirror image, by turns.
    """

    protocol: Protocol
    operator: ParametricOperator
    generators: Mapping[str, Generator]
    paths: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return min(self.protocol.count, len(self.paths)) if self.paths else self.protocol.count

    def __getitem__(self, number: int) -> Case:
        protocol = self.protocol
        stem = f"{number:05d}"
        if protocol.recipe:
            path = photographs.source(self.paths, number, protocol.count)
            made = photographs.photograph(path, number, protocol.size)
            parameters = {"kernel": made.kernel}
            return _case(stem, path.name, made.truth, made.measurement, parameters, f"photograph{number}")
        name, clean = self._clean(number)
        simulated = simulate(
            clean, self.operator, self.generators, protocol.noise or 0.0, image_seed(protocol.seed, f"case {stem}")
        )
        return _case(stem, name, clean, simulated.measurement, simulated.parameters, f"{stem} {name}")

    def _clean(self, number: int) -> tuple[str, Tensor]:
        side = self.protocol.size
        if not self.paths:
            picture = face(side)
            return (f"mirrored-{NAME}", picture.flip(-1)) if number % 2 else (NAME, picture)
        path = self.paths[number]
        pixels = as_colour(files.read(path).pixels.clamp(0, 1), CHANNELS)
        height, width = pixels.shape[1:]
        smaller = min(height, width)
        if smaller < side:
            raise IptError(
                f"{path} is {width} x {height} px and the protocol wants {side} x {side}: enlarged, it would be no "
                f"sharp truth; give larger pictures, or a protocol with a smaller size"
            )
        top, left = (height - smaller) // 2, (width - smaller) // 2
        square = pixels[:, top : top + smaller, left : left + smaller]
        return path.name, square if smaller == side else resized(square, side).clamp(0, 1)


def _case(
    stem: str, picture: str, clean: Tensor, measurement: Tensor, parameters: Mapping[str, Tensor], name: str
) -> Case:
    digest = hashlib.sha256(clean.numpy().tobytes() + measurement.numpy().tobytes()).hexdigest()
    return Case(stem, picture, clean, measurement, parameters, name, digest)


def cases_of(protocol: Protocol) -> Cases:
    """The cases of a protocol that names its pictures.

    Raises:
        IptError: The protocol names no pictures; there are none, or too few; an operator or generator does not exist or
            refuses a setting.
    """
    if not protocol.pictures:
        raise IptError(f"protocol {protocol.name} brings no pictures; name a folder of them (pictures=)")
    operator: ParametricOperator = build_component("operator", protocol.operator.name, protocol.operator.options)
    generators = {
        name: build_component("generator", spec.name, spec.options) for name, spec in protocol.generators.items()
    }
    paths = () if protocol.pictures == SHIPPED else tuple(files.inputs(protocol.pictures))
    if protocol.recipe:
        photographs.check_pictures(paths)
    return Cases(protocol, operator, generators, paths)


def export(protocol: Protocol, folder: str) -> int:
    """Write the cases of a protocol as files.

    Of a protocol that names no pictures only the parameters are written, which are the same for all pictures.

    Returns:
        The number of cases.

    Raises:
        IptError: As for `cases_of`, or a file cannot be written.
    """
    bare = not protocol.pictures and not protocol.recipe
    cases = cases_of(replace(protocol, pictures=SHIPPED) if bare else protocol)
    out = check_folder(folder)
    truth = check_folder(out / "truth")
    write_protocol(out, protocol)
    for number in range(len(cases)):
        case = cases[number]
        picture = truth / f"{case.stem}.png"
        for name, value in case.parameters.items():
            write_parameter(parameter_file(picture, name), value)
        if bare:
            continue
        files.write(picture, Picture(case.clean, depth=16))
        write_parameter(out / f"{case.stem}.npy", case.measurement)
        files.write(out / f"{case.stem}.png", Picture(case.measurement, depth=16))
    return len(cases)


def write_protocol(folder: Path, protocol: Protocol) -> None:
    """Write FOLDER/protocol.yaml, which `ipt bench` reads."""
    with atomic(folder / "protocol.yaml") as file:
        file.write(dump_yaml(protocol.plain()).encode())
