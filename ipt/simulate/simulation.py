"""Degrading a clean picture by an operator whose parameters are drawn: the measurement, with the truth kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ipt.core.abilities import Framed, ability, framed_shape
from ipt.core.errors import IptError, Misuse
from ipt.core.operator import Generator, ParameterSpec, ParametricOperator, constrained
from ipt.images.noise import Poisson
from ipt.linalg.random import image_seed, stream
from ipt.operators.blur import Blur
from ipt.operators.draws import FrameGenerator
from ipt.plugins.building import build_component
from ipt.plugins.faults import place
from ipt.plugins.suggestions import advice
from ipt.plugins.usual import usual_generator
from ipt.simulate.camera import Camera, turned, turning_rate, turning_reach
from ipt.simulate.framing import frame_of, image_of, narrowed
from ipt.simulate.noise import noisy

_BEYOND = {"unknown": "reflect", "reflect": "reflect", "replicate": "edge", "zero": "constant", "circular": "wrap"}
"""How a picture goes on outside its frame, by border, as numpy calls it."""
_ANY_SHAPE = (3, 256, 256)


@dataclass(frozen=True)
class Simulation:
    """A measurement with its truth.

    Attributes:
        measurement: (C, H, W), as it is: noise reaches a little outside 0..1, unless a camera has clipped it; of an
            operator that measures no pictures (`ipt.PhysicalUnits`), in its units.
        parameters: The true ones by name, (C, H, W), valid.
        clean: (C, H, W), the picture that a perfect solver would find.
        clipped: Share of the measurement that is outside 0..1, or was until a camera has clipped it.
        direction: (rows, columns) of length 1, along which the camera's shift turns it; None: it does not turn.
    """

    measurement: Tensor
    parameters: Mapping[str, Tensor]
    clean: Tensor
    clipped: float
    direction: tuple[float, float] | None = None


def simulate(
    clean: Tensor,
    operator: ParametricOperator,
    generators: Mapping[str, Generator],
    noise: float | Poisson | Tensor,
    seed: int,
    cut: bool = False,
    camera: Camera | None = None,
    known: Mapping[str, Tensor] | None = None,
    scene: int | None = None,
) -> Simulation:
    """A measurement of a clean picture.

    Where the operator's image is larger than its frame (`ipt.core.abilities.Framed`), the picture is the frame, and
    goes on around it as its reflection.

    Args:
        clean: (C, H, W) in 0..1.
        operator: What degrades it.
        generators: Of every parameter of the operator that is not known, by name.
        noise: Standard deviation of white noise, or a map of it, (1 or C, h, w); Poisson noise.
        seed: Of this picture (`ipt.linalg.random.image_seed`); every parameter and the noise have streams of their
            own, none of them a solver's.
        cut: The picture is all of the image, and the measurement is of its frame alone: what lies around it is real.
            The frame is the largest in the picture's middle.
        camera: What else happens; None: nothing, and the measurement is not clipped.
        known: Parameters that are given instead of drawn, (1, C, H, W) by name; or (S, C, H, W), at S instants while
            the picture is exposed: it is the mean of what is seen then, and the mean of the parameters is reported.
        scene: Of several frames of a picture, the seed of what they share; None: it is the only one.

    Raises:
        IptError: A parameter without a generator, a generator without a parameter or of values that it cannot have, a
            picture that the operator does not take; a cut where nothing lies around the frame; a camera that turns with
            another operator than `Blur`.
    """
    own, given = camera or Camera(), known or {}
    check_camera(operator, own, cut)
    try:
        image = image_of(clean, operator, cut)
        specs = operator.parameters(tuple(image.shape[1:]))
        _check_names([*generators, *given], specs)
        sides = framed_shape(operator, tuple(image.shape[1:]))[1:]
        drawn = {
            name: given[name]
            if name in given
            else _drawn(
                name,
                spec,
                generators.get(name),
                scene if spec.shared and scene is not None else seed,
                (sides[0], sides[1]),
            )
            for name, spec in specs.items()
        }
        valid, light = constrained(operator, specs, drawn), own.light(image)
        frame = frame_of(operator, image)
        direction = None
        with torch.no_grad():
            if isinstance(operator, Blur) and own.rotation:
                lost = turning_reach(own.rotation, *image.shape[-2:]) if cut else 0
                direction = _direction(seed)
                sharp = _turned(light[0], operator, valid["kernel"][0], own.rotation, direction)[None]
                sharp = sharp[(..., *narrowed([slice(0, side) for side in sharp.shape[-2:]], lost))]
                frame = narrowed(frame, lost)
            else:
                sharp = _exposed(operator, light, valid)
    except ValueError as error:
        raise error if isinstance(error, IptError) else IptError(f"{error}{place(error)}") from error
    values = own.developed(sharp)
    values = noisy(values, noise, parameter_seed(seed, "noise"))
    shown = image[0][(slice(None), *frame)]
    return Simulation(
        measurement=values[0] if camera is None else own.stored(values[0]),
        parameters={name: value.mean(0) for name, value in valid.items()},
        clean=shown if own.exposure == 1 else own.developed(own.light(shown)).clamp(0, 1),
        clipped=float(((values < 0) | (values > 1)).double().mean()),
        direction=None if direction is None else (float(direction[0]), float(direction[1])),
    )


def _exposed(operator: ParametricOperator, light: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
    """What is measured of an image (1, C, H, W), the mean over the instants of which there are parameters."""
    instants = max((len(value) for value in parameters.values()), default=1)
    total = torch.zeros(())
    for number in range(instants):
        own = {name: value[min(number, len(value) - 1)][None] for name, value in parameters.items()}
        total = total + operator.forward(light, **own)
    return total / instants


def check_camera(operator: ParametricOperator, camera: Camera, cut: bool) -> None:
    """Misuse where an operator cannot be measured with a camera, or in a part of the picture."""
    if camera.rotation and not isinstance(operator, Blur):
        raise Misuse("a camera's rotation is of the operator blur alone; drop rotation=, or choose operator=blur")
    shape = operator.image_shape(_ANY_SHAPE) if cut else ()
    if cut and (ability(operator, Framed) is None or framed_shape(operator, shape) == shape):
        raise Misuse(
            "this operator sees nothing around its frame, so that there is nothing to cut; drop cut=True, or take blur "
            "or turbulence with border=unknown"
        )


def _direction(seed: int) -> np.ndarray:
    """Of length 1, (rows, columns)."""
    drawn = torch.randn(2, generator=stream(seed, "simulated rotation"), dtype=torch.float64).numpy()
    length: np.ndarray = drawn / np.linalg.norm(drawn)
    return length


def _turned(image: Tensor, blur: Blur, kernel: Tensor, degrees: float, direction: np.ndarray) -> Tensor:
    """What a turning camera measures of an image (C, H, W), of the blur's frame."""
    rows, columns = kernel.shape[-2:]
    height, width = image.shape[-2:]
    reach = turning_reach(degrees, height, width)
    sides = [(reach + side - 1 - side // 2, reach + side // 2) for side in (rows, columns)]
    mode: Any = _BEYOND[blur.border]
    around = torch.from_numpy(np.pad(image.numpy(), [(0, 0), *sides], mode=mode))
    seen = turned(around, kernel, turning_rate(kernel, degrees, direction), direction)
    inside = seen[:, reach : reach + height, reach : reach + width]
    return inside[(slice(None), *blur.frame(tuple(image.shape)))]


def generators_for(named: Mapping[str, str], settings: Mapping[str, object]) -> dict[str, Generator]:
    """The generators of parameters by their registered names.

    Of the settings, "generator.x" goes to all of them, "kernel.x" to that of the parameter `kernel`.

    Raises:
        Misuse: A setting of nothing that there is.
    """
    made: dict[str, Generator] = {}
    for name, registered in named.items():
        own = {k: v for part in ("generator", name) for k, v in section(settings, part).items()}
        made[name] = build_component("generator", registered, own)
    known = ["operator", "generator", *named]
    for key in settings:
        if key.partition(".")[0] not in known:
            raise Misuse(f"nothing is set by {key}{advice(key.partition('.')[0], known, 'settings begin with')}")
    return made


def generator_names(
    given: Mapping[str, str], parameters: Mapping[str, ParameterSpec], otherwise: Callable[[str], str] | None = None
) -> dict[str, str]:
    """What draws each parameter, by registered name: what is given, else the parameter's usual one.

    Under "image" (a name given without a parameter) is what draws every parameter that has none of its own.

    Args:
        given: registered names, by parameter.
        parameters: of the operator, by name.
        otherwise: what to do where a parameter has none, in words for the error; None: name one.

    Raises:
        IptError: A name for no parameter, a parameter without a name.
    """
    _check_names([name for name in given if name != "image"], parameters)
    chosen = {name: given.get(name) or given.get("image") or usual_generator(spec) for name, spec in parameters.items()}
    for name, registered in chosen.items():
        if not registered:
            raise IptError(f"{name!r} has no usual generator; {(otherwise or _name_one)(name)}")
    return chosen


def exposure_seeds(seed: int, frames: int) -> list[int]:
    """A seed for each exposure of a scene; a single one has the picture's."""
    return [seed] if frames == 1 else [image_seed(seed, f"frame {number}") for number in range(1, frames + 1)]


def section(settings: Mapping[str, object], name: str) -> dict[str, object]:
    """The settings "name.x" as {"x": ...}."""
    return {key.removeprefix(f"{name}."): value for key, value in settings.items() if key.startswith(f"{name}.")}


def _check_names(names: Iterable[str], parameters: Mapping[str, ParameterSpec]) -> None:
    for name in names:
        if name not in parameters:
            raise Misuse(f"the operator has no parameter {name!r}{advice(name, parameters, 'parameters')}")


def _drawn(name: str, spec: ParameterSpec, generator: Generator | None, seed: int, frame: tuple[int, int]) -> Tensor:
    if generator is None:
        raise IptError(f"{name!r} has no generator; {_name_one(name)}")
    if isinstance(generator, FrameGenerator):
        generator = generator.within(frame)
    value = generator.sample([parameter_seed(seed, name)], spec.shape)
    if tuple(value.shape[1:]) != spec.shape:
        shapes = f"{tuple(value.shape[1:])} where {name!r} is {spec.shape}"
        raise IptError(f"{type(generator).__name__} draws {shapes}; {_name_one(name)}")
    if spec.range is not None and not torch.allclose(value, value.clamp(*spec.range), atol=1e-6):
        found = f"{value.min():.3g} to {value.max():.3g} where {name!r} is {spec.range[0]:g} to {spec.range[1]:g}"
        raise IptError(f"{type(generator).__name__} draws {found}; {_name_one(name)}")
    return value


def _name_one(parameter: str) -> str:
    return f"name one that draws it (`ipt list generator`): generator={parameter}=NAME"


def parameter_seed(seed: int, name: str) -> int:
    """Of what is drawn for a picture under a name."""
    # Not the solver's own streams: a solve that starts from the truth's random numbers would be no test.
    return image_seed(seed, f"simulated {name}")
