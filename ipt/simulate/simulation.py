"""A measurement of a clean picture, by an operator whose parameters are drawn at random, with the truth beside it.

    picture -> image around it -> light -> operator (and camera) -> exposure -> noise -> measurement

What lies around the picture is in `ipt.simulate.framing`, what a camera adds in `ipt.simulate.camera`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ipt.core.abilities import Framed, ability, framed_shape
from ipt.core.errors import IptError, Misuse
from ipt.core.operator import Generator, ParameterSpec, ParametricOperator, Unknowns, constrained
from ipt.images.noise import Poisson
from ipt.linalg.random import image_seed, stream
from ipt.operators.blur import Blur
from ipt.operators.draws import FrameGenerator
from ipt.plugins.building import build_component
from ipt.plugins.faults import place
from ipt.plugins.suggestions import advice
from ipt.plugins.usual import usual_generator
from ipt.simulate.camera import Camera, turned, turning_rate, turning_reach
from ipt.simulate.framing import frame_of, image_of, inset
from ipt.simulate.noise import noisy

_BEYOND = {"unknown": "reflect", "reflect": "reflect", "replicate": "edge", "zero": "constant", "circular": "wrap"}
"""numpy's padding mode for each border."""
_ANY_SHAPE = (3, 256, 256)
"""A measurement of which it is asked whether its image is larger."""


@dataclass(frozen=True)
class Simulation:
    """A measurement with its truth.

    Attributes:
        measurement: (C, H, W). In 0..1, beyond which noise reaches a little unless a camera clips; or in the units of
            an operator that measures no pictures (`ipt.PhysicalUnits`).
        parameters: True parameters by name, (C, H, W), valid.
        clean: The picture that a perfect solver would find, (C, H, W).
        clipped: Share of the measurement outside 0..1, before a camera clips it.
        direction: Unit vector (rows, columns) of the shift along which the camera rotates; None: it does not rotate.
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
    """Simulate a measurement of a clean picture.

    Where the operator's image is larger than its frame (`ipt.core.abilities.Framed`), the picture is the frame, and its
    reflection surrounds it.

    Args:
        clean: The picture, (C, H, W) in 0..1.
        operator: The forward model.
        generators: A generator for each parameter that is not known, by name.
        noise: Standard deviation of white noise; a map of standard deviations, (1 or C, h, w); or Poisson noise.
        seed: Seed of this picture (`ipt.linalg.random.image_seed`). Every parameter and the noise have streams of their
            own, and none of them is one of a solver's.
        cut: Take the picture as the whole image and measure its middle, the largest frame that fits, so that real
            pixels surround the frame.
        camera: What a camera adds; None: nothing, and the measurement is not clipped.
        known: Parameters that are given instead of drawn, by name: (1, C, H, W), or (S, C, H, W) for S instants of the
            exposure. Then the measurement is the mean over the instants, and the mean of the parameters is reported.
        scene: Seed for the parameters that several frames of a scene share; None: this is the only frame.

    Raises:
        IptError: A parameter without a generator or a generator without a parameter, a value out of range, a picture
            that the operator does not take, a cut of an operator whose image is no larger than its frame, or a camera
            that rotates with another operator than `Blur`.
    """
    own, given = camera or Camera(), known or {}
    check_camera(operator, own, cut)
    try:
        image = image_of(clean, operator, cut)
        specs = operator.parameters(tuple(image.shape[1:]))
        _check_names([*generators, *given], specs)
        _, height, width = framed_shape(operator, tuple(image.shape[1:]))
        parameters: Unknowns = {}
        for name, spec in specs.items():
            if name in given:
                parameters[name] = given[name]
            else:
                own_seed = scene if spec.shared and scene is not None else seed
                parameters[name] = _drawn(name, spec, generators.get(name), own_seed, (height, width))
        valid, light = constrained(operator, specs, parameters), own.light(image)
        frame, direction = frame_of(operator, image), None
        with torch.no_grad():
            if isinstance(operator, Blur) and own.rotation:
                lost = turning_reach(own.rotation, *image.shape[-2:]) if cut else 0
                direction = _direction(seed)
                measured = _rotated(light[0], operator, valid["kernel"][0], own.rotation, direction)[None]
                measured = measured[(..., *inset([slice(0, side) for side in measured.shape[-2:]], lost))]
                frame = inset(frame, lost)
            else:
                measured = _mean_over_instants(operator, light, valid)
    except ValueError as error:
        raise error if isinstance(error, IptError) else IptError(f"{error}{place(error)}") from error
    values = noisy(own.developed(measured), noise, parameter_seed(seed, "noise"))
    shown = image[0][(slice(None), *frame)]
    return Simulation(
        measurement=values[0] if camera is None else own.stored(values[0]),
        parameters={name: value.mean(0) for name, value in valid.items()},
        clean=shown if own.exposure == 1 else own.developed(own.light(shown)).clamp(0, 1),
        clipped=float(((values < 0) | (values > 1)).double().mean()),
        direction=None if direction is None else (float(direction[0]), float(direction[1])),
    )


def _mean_over_instants(operator: ParametricOperator, light: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
    """The mean measurement of an image (1, C, H, W) over the instants for which there are parameters (S, C, h, w)."""
    instants = max((len(value) for value in parameters.values()), default=1)
    total = torch.zeros(())
    for number in range(instants):
        own = {name: value[min(number, len(value) - 1)][None] for name, value in parameters.items()}
        total = total + operator.forward(light, **own)
    return total / instants


def check_camera(operator: ParametricOperator, camera: Camera, cut: bool) -> None:
    """Misuse where an operator does not go with a rotating camera, or with a cut."""
    if camera.rotation and not isinstance(operator, Blur):
        raise Misuse("a camera's rotation is of the operator blur alone; drop rotation=, or choose operator=blur")
    shape = operator.image_shape(_ANY_SHAPE) if cut else ()
    if cut and (ability(operator, Framed) is None or framed_shape(operator, shape) == shape):
        raise Misuse(
            "this operator sees nothing around its frame, so that there is nothing to cut; drop cut=True, or take blur "
            "or turbulence with border=unknown"
        )


def _direction(seed: int) -> np.ndarray:
    """A random unit vector (rows, columns)."""
    drawn = torch.randn(2, generator=stream(seed, "simulated rotation"), dtype=torch.float64).numpy()
    length: np.ndarray = drawn / np.linalg.norm(drawn)
    return length


def _rotated(image: Tensor, blur: Blur, kernel: Tensor, degrees: float, direction: np.ndarray) -> Tensor:
    """What a rotating camera measures of an image (C, H, W) in the blur's frame, (C, h, w)."""
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
    """The generators of parameters, built from their registered names.

    Args:
        named: registered names, by parameter.
        settings: options: "generator.x" for all generators, "kernel.x" for that of the parameter `kernel`.

    Raises:
        Misuse: A setting that belongs to no component.
    """
    made: dict[str, Generator] = {}
    for name, registered in named.items():
        options = {**section(settings, "generator"), **section(settings, name)}
        made[name] = build_component("generator", registered, options)
    known = ["operator", "generator", *named]
    for key in settings:
        if key.partition(".")[0] not in known:
            raise Misuse(f"nothing is set by {key}{advice(key.partition('.')[0], known, 'settings begin with')}")
    return made


def generator_names(
    given: Mapping[str, str], parameters: Mapping[str, ParameterSpec], otherwise: Callable[[str], str] | None = None
) -> dict[str, str]:
    """The registered name of each parameter's generator: the given one, else the parameter's usual one.

    Args:
        given: registered names, by parameter; under "image" the name for every parameter without one of its own.
        parameters: the operator's parameters.
        otherwise: from a parameter without a generator to the advice in the error; None: to name one.

    Raises:
        IptError: A name for an unknown parameter, or a parameter without a generator.
    """
    _check_names([name for name in given if name != "image"], parameters)
    chosen = {name: given.get(name) or given.get("image") or usual_generator(spec) for name, spec in parameters.items()}
    for name, registered in chosen.items():
        if not registered:
            raise IptError(f"{name!r} has no usual generator; {(otherwise or _name_one)(name)}")
    return chosen


def exposure_seeds(seed: int, frames: int) -> list[int]:
    """A seed for each exposure of a scene; a single exposure has the picture's seed."""
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
    """The seed of what is drawn for a picture under this name."""
    # Other streams than a solver's: a solve that starts from the truth's random numbers would be no test.
    return image_seed(seed, f"simulated {name}")
