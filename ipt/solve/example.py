"""The example that is solved when a run has no input: a real face, degraded here by the chosen operator.

The face is that of the astronaut Eileen Collins, photographed by NASA (public domain), from scikit-image's data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from skimage import data
from torch import Tensor

from ipt.core.abilities import Framed, MeasurementSpec, Resizable, ability, framed_shape
from ipt.core.errors import IptError
from ipt.core.operator import ParameterSpec, ParametricOperator
from ipt.core.prior import Prior
from ipt.images.files import Picture
from ipt.images.fit import accepted_side, as_it_came
from ipt.images.measurements import from_numbers, measured, own_noise
from ipt.images.noise import Poisson, plain
from ipt.priors.surrounded import Surrounded
from ipt.simulate.framing import measured_shape
from ipt.simulate.simulation import exposure_seeds, generator_names, generators_for, simulate
from ipt.solve.known import checked
from ipt.solve.truth import Truth

NAME = "astronaut.png"
NOISE = 0.01
GIVEN = "given"
_USUAL, _LARGEST = 128, 256
"""Pixels of a side: the example's with a prior of any size, and the most with a prior of fixed sizes."""
_ODD = 127
"""Pixels of a side that only a prior of any size takes."""
_TOP, _LEFT, _SIDE = 60, 163, 124
"""The square of the face in the photograph, in pixels. Eyes and mouth lie where they do in the mean of CelebA's aligned
frontal faces: the eyes a third from the top and a third of the width apart."""


def face(side: int, margin: int = 0) -> Tensor:
    """The face, (3, side + 2 * margin, side + 2 * margin) in 0..1, with `margin` pixels of the photograph around it."""
    around = round(margin * _SIDE / side)
    window = data.astronaut()[_TOP - around : _TOP + _SIDE + around, _LEFT - around : _LEFT + _SIDE + around]
    pixels = torch.from_numpy(np.ascontiguousarray(window.transpose(2, 0, 1))).float() / 255
    size = side + 2 * margin
    return F.interpolate(pixels[None], size=(size, size), mode="bicubic", antialias=True)[0].clamp(0, 1)


@dataclass(frozen=True)
class Example:
    """The face, degraded by an operator, and the truth.

    Attributes:
        exposures: the measurement, or several of one scene.
        truth: the face and the true parameters.
        origins: by parameter, the registered name of the generator that drew it, or `GIVEN`.
        noise: that was added, a standard deviation for values in 0..1 or Poisson noise.
    """

    exposures: tuple[Picture, ...]
    truth: Truth
    origins: Mapping[str, str]
    noise: float | Poisson = NOISE

    def description(self, operator: str) -> str:
        """A sentence that says what the example is; operator: its name."""
        height, width = self.truth.picture.shape[1:]
        each = [f"{name} given" if by == GIVEN else f"{name} from {by}" for name, by in self.origins.items()]
        drawn = f" ({', '.join(each)})" if each else ""
        count = f"{len(self.exposures)} exposures of " if len(self.exposures) > 1 else ""
        return (
            f"No INPUT: the example is {count}a face of {width} x {height} px (Eileen Collins, NASA, public domain), "
            f"degraded here by {operator}{drawn} with noise {plain(self.noise)}, and compared with the truth."
        )


def example(
    prior: Prior,
    operator: ParametricOperator,
    seed: int,
    frames: int = 1,
    known: Mapping[str, Tensor] | None = None,
) -> Example:
    """Degrade the face by an operator, with parameters from its generators, and add noise.

    The face has the largest size up to 256 px that the prior takes, or 128 px if the prior takes any size. It is grey
    if the prior or the operator does not take colour. It is kept at 16 bits. Camera motions extend over a tenth to a
    fifth of it.

    Args:
        prior: of the image.
        operator: of a single exposure.
        seed: of the example.
        frames: number of exposures, each with parameters and noise of its own.
        known: known parameters, as in `ipt.solve.prepare.ImageTask`.

    Raises:
        IptError: the prior takes neither colour nor grey pictures, or none that the operator takes; a parameter is
            neither known nor has a generator.
    """
    given = dict(known or {})
    resizable = ability(operator, Resizable)
    if given and resizable is not None:
        operator = resizable.resized({name: value[None] for name, value in given.items()})
    side, shape = _size(prior.prior if isinstance(prior, Surrounded) else prior, operator)
    try:
        specs = operator.parameters(shape)
        values = checked(given, operator, shape, frames)
        unknown = {name: spec for name, spec in specs.items() if name not in values}
        names = generator_names({}, unknown, lambda name: f"give its value (known={name}=FILE.npy), or give an INPUT")
    except ValueError as error:
        raise IptError(f"the example cannot be degraded: {error}") from error
    generators = generators_for(names, _generator_settings(names, specs, side))
    image, cut = _image(operator, side, shape)
    # A shared parameter has one value, every other one a value per frame.
    by_frame = {
        name: value if specs[name].shared else value.reshape(frames, -1, *value.shape[2:])
        for name, value in values.items()
    }
    units = measured(operator)
    operator_noise = own_noise(units)
    noise = NOISE if operator_noise is None else operator_noise
    simulated = []
    for number, frame_seed in enumerate(exposure_seeds(seed, frames)):
        own = {name: value[min(number, len(value) - 1)][None] for name, value in by_frame.items()}
        simulated.append(simulate(image, operator, generators, noise, frame_seed, cut, known=own, scene=seed))
    parameters = {
        name: simulated[0].parameters[name]
        if spec.shared or frames == 1
        else torch.stack([one.parameters[name] for one in simulated])
        for name, spec in specs.items()
    }
    return Example(
        exposures=tuple(_exposure(one.measurement, units) for one in simulated),
        truth=Truth(
            Picture(simulated[0].clean, depth=16, source="example"),
            parameters,
        ),
        origins={name: names.get(name, GIVEN) for name in specs},
        noise=noise,
    )


def _size(prior: Prior, operator: ParametricOperator) -> tuple[int, tuple[int, ...]]:
    """The side of the face, and the shape (3 or 1, H, W) of the image around it that the operator measures."""
    refusal = ""
    for channels in (3, 1):
        largest = _largest(prior, channels, _USUAL if _takes(prior, channels, _ODD) else _LARGEST)
        for side in range(largest, 7, -1):
            if not _takes(prior, channels, side):
                continue
            found = _image_shape(operator, (channels, side, side))
            if not isinstance(found, str):
                return side, found
            refusal = refusal or found
    if not refusal:
        raise IptError(
            "the example is a picture in colour or grey, which this prior does not take; give an INPUT that it does"
        )
    others = ((channels, side, side) for channels in (3, 1) for side in range(_LARGEST, 7, -1))
    if all(isinstance(_image_shape(operator, frame), str) for frame in others):
        raise IptError(f"the operator cannot measure the example: {refusal}\nGive an INPUT.")
    raise IptError(
        f"the operator cannot measure an example of a size that this prior takes: {refusal}\n"
        f"Give an INPUT, or another prior="
    )


def _image_shape(operator: ParametricOperator, frame: tuple[int, ...]) -> tuple[int, ...] | str:
    """The shape (C, H, W) of the image around a frame that the operator measures, or in words why there is none."""
    try:
        shape = operator.image_shape(measured_shape(operator, frame))
        operator.parameters(shape)
    except ValueError as error:
        return f"a picture of {frame} is refused ({error})"
    if framed_shape(operator, shape) != frame:
        return f"its image has the shape {tuple(shape)}, where the picture has {frame}"
    return shape


def _exposure(measurement: Tensor, spec: MeasurementSpec | None) -> Picture:
    """A measurement, (C, H, W): a picture, or numbers as if read from a file if the operator has physical units."""
    if spec is not None:
        return from_numbers(measurement, "the example")
    return Picture(measurement.clamp(0, 1), depth=16, source="example")


def _largest(prior: Prior, channels: int, at_most: int) -> int:
    """The side that is tried first; 0 if the prior takes none. A prior of colour takes grey pictures, too."""
    return max(accepted_side(prior, each, at_most) or 0 for each in {channels, 3})


def _takes(prior: Prior, channels: int, side: int) -> bool:
    return any(accepted_side(prior, each, side, largest=0) == side for each in {channels, 3})


def _generator_settings(names: Mapping[str, str], specs: Mapping[str, ParameterSpec], side: int) -> dict[str, object]:
    """The extent of camera motions, in proportion to the picture and small enough for the kernel's window."""
    settings: dict[str, object] = {}
    for name, generator in names.items():
        if generator == "motion":
            reach = min(side, 4 * min(specs[name].shape[1:]))
            settings[f"{name}.extent"] = (max(1, reach / 10), max(1, reach / 5))
    return settings


def _image(operator: ParametricOperator, side: int, shape: tuple[int, ...]) -> tuple[Tensor, bool]:
    """The face with the part of the photograph around it that the operator needs, and whether there is such a part.

    Where the photograph is too small for that, the face alone; the simulation continues it by reflection.
    """
    framed = ability(operator, Framed)
    windows = (slice(0, side),) * 2 if framed is None else framed.frame(shape)
    around = [
        margin
        for window, whole in zip(windows, shape[1:], strict=True)
        for margin in (window.start, whole - window.stop)
    ]
    margin = max(around)
    if not margin or margin * _SIDE > _TOP * side:
        return as_it_came(face(side), shape[0]), False
    top, bottom, left, right = (margin - one for one in around)
    wide = face(side, margin)[:, top : side + 2 * margin - bottom, left : side + 2 * margin - right]
    return as_it_came(wide, shape[0]), True
