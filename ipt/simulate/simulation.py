"""Degrading a clean picture by an operator whose parameters are drawn: the measurement, with the truth kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ipt.core.abilities import Framed, ability, framed_shape
from ipt.core.errors import IptError, Misuse
from ipt.core.operator import Generator, ParameterSpec, ParametricOperator
from ipt.linalg.random import Noise, image_seed
from ipt.plugins.building import build_component
from ipt.plugins.suggestions import advice


@dataclass(frozen=True)
class Simulation:
    """A measurement with its truth.

    Attributes:
        measurement: (C, H, W), as it is: noise reaches a little outside 0..1.
        parameters: The true ones by name, (C, H, W), valid.
    """

    measurement: Tensor
    parameters: Mapping[str, Tensor]


def simulate(
    clean: Tensor,
    operator: ParametricOperator,
    generators: Mapping[str, Generator],
    noise: float,
    seed: int,
    cut: bool = False,
) -> Simulation:
    """A measurement of a clean picture.

    Where the operator's image is larger than its frame (`ipt.core.abilities.Framed`), the picture is the frame, and
    goes on around it as its reflection.

    Args:
        clean: (C, H, W) in 0..1.
        operator: What degrades it.
        generators: Of every parameter of the operator, by name.
        noise: Standard deviation of white noise.
        seed: Of this picture (`ipt.linalg.random.image_seed`); every parameter and the noise have streams of their
            own, none of them a solver's.
        cut: The picture is all of the image, and the measurement is of its frame alone: what lies around it is real.

    Raises:
        IptError: A parameter without a generator, a generator without a parameter, a picture that the operator does not
            take.
    """
    try:
        image = clean[None] if cut else _surrounded(clean[None], operator)
        specs = operator.parameters(tuple(image.shape[1:]))
        _check_names(generators, specs)
        drawn = {name: _drawn(name, spec, generators.get(name), seed) for name, spec in specs.items()}
        valid = operator.constrain(drawn)
        with torch.no_grad():
            sharp = operator.forward(image, **valid)
    except ValueError as error:
        raise error if isinstance(error, IptError) else IptError(str(error)) from error
    measurement = sharp + noise * Noise([_stream(seed, "noise")]).like("measurement", sharp) if noise else sharp
    return Simulation(measurement[0], {name: value[0] for name, value in valid.items()})


def _surrounded(clean: Tensor, operator: ParametricOperator) -> Tensor:
    """The picture (1, C, H, W), reflected beyond its edges as far as the operator's image reaches."""
    framed = ability(operator, Framed)
    if framed is None:
        return clean
    # The picture is not of the measurement's size where the operator changes it.
    channels, *sides = clean.shape[1:]
    usual = framed_shape(operator, operator.image_shape((channels, *sides)))
    measured = (side**2 // frame for side, frame in zip(sides, usual[1:], strict=True))
    shape = operator.image_shape((channels, *measured))
    pads = [(window.start, side - window.stop) for window, side in zip(framed.frame(shape), shape[-2:], strict=True)]
    return torch.from_numpy(np.pad(clean.numpy(), [(0, 0), (0, 0), *pads], mode="reflect"))


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


def generator_names(given: Mapping[str, str], parameters: Mapping[str, ParameterSpec]) -> dict[str, str]:
    """What draws each parameter, by registered name: what is given, else the parameter's usual one.

    Under "image" (a name given without a parameter) is what draws every parameter that has none of its own.

    Raises:
        IptError: A name for no parameter, a parameter without a name.
    """
    _check_names([name for name in given if name != "image"], parameters)
    chosen = {name: given.get(name) or given.get("image") or spec.generator for name, spec in parameters.items()}
    for name, registered in chosen.items():
        if not registered:
            raise IptError(f"{name!r} has no usual generator; {_name_one(name)}")
    return chosen


def section(settings: Mapping[str, object], name: str) -> dict[str, object]:
    """The settings "name.x" as {"x": ...}."""
    return {key.removeprefix(f"{name}."): value for key, value in settings.items() if key.startswith(f"{name}.")}


def _check_names(names: Iterable[str], parameters: Mapping[str, ParameterSpec]) -> None:
    for name in names:
        if name not in parameters:
            raise Misuse(f"the operator has no parameter {name!r}{advice(name, parameters, 'parameters')}")


def _drawn(name: str, spec: ParameterSpec, generator: Generator | None, seed: int) -> Tensor:
    if generator is None:
        raise IptError(f"{name!r} has no generator; {_name_one(name)}")
    value = generator.sample([_stream(seed, name)], spec.shape)
    if tuple(value.shape[1:]) != spec.shape:
        shapes = f"{tuple(value.shape[1:])} where {name!r} is {spec.shape}"
        raise IptError(f"{type(generator).__name__} draws {shapes}; {_name_one(name)}")
    return value


def _name_one(parameter: str) -> str:
    return f"name one that draws it (`ipt list generator`): generator={parameter}=NAME"


def _stream(seed: int, name: str) -> int:
    # Not the solver's own streams: a solve that starts from the truth's random numbers would be no test.
    return image_seed(seed, f"simulated {name}")
