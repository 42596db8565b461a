"""Degrading a clean picture by an operator whose parameters are drawn: the measurement, with the truth kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ipt.core.errors import IptError, Misuse
from ipt.core.interfaces import Generator, ParameterSpec, ParametricOperator
from ipt.core.randomness import Noise, image_seed
from ipt.plugins.building import build_component
from ipt.plugins.suggestions import advice


@dataclass(frozen=True)
class Simulated:
    """measurement: (C, H, W), as it is (noise reaches a little outside 0..1). parameters: the true ones, (C, H, W),
    valid.
    """

    measurement: Tensor
    parameters: Mapping[str, Tensor]


def simulate(
    clean: Tensor, operator: ParametricOperator, generators: Mapping[str, Generator], noise: float, seed: int
) -> Simulated:
    """A measurement of a clean picture (C, H, W) in 0..1.

    generators: of every parameter of the operator, by name. noise: standard deviation of white noise. seed: of this
    picture (`ipt.core.randomness.image_seed`); every parameter and the noise have streams of their own, none of them a
    solver's. IptError: a parameter without a generator, a generator without a parameter, a picture that the operator
    does not take.
    """
    try:
        specs = operator.parameters(tuple(clean.shape))
        for name in generators:
            if name not in specs:
                raise Misuse(f"the operator has no parameter {name!r}{advice(name, specs, 'parameters')}")
        for name in specs:
            if name not in generators:
                raise IptError(f"{name!r} has no generator; name one: --generator {name}=NAME (`ipt list generator`)")
        drawn = {name: _drawn(name, spec, generators[name], _stream(seed, name)) for name, spec in specs.items()}
        valid = operator.constrain(drawn)
        with torch.no_grad():
            sharp = operator.forward(clean[None], **valid)
    except ValueError as error:
        raise error if isinstance(error, IptError) else IptError(str(error)) from error
    measurement = sharp + noise * Noise([_stream(seed, "noise")]).like("measurement", sharp) if noise else sharp
    return Simulated(measurement[0], {name: value[0] for name, value in valid.items()})


def _drawn(name: str, spec: ParameterSpec, generator: Generator, seed: int) -> Tensor:
    value = generator.sample([seed], spec.shape)
    if tuple(value.shape[1:]) != spec.shape:
        raise IptError(
            f"{type(generator).__name__} draws {tuple(value.shape[1:])} where {name!r} is {spec.shape}: "
            f"name another, --generator {name}=NAME (`ipt list generator`)"
        )
    return value


def _stream(seed: int, name: str) -> int:
    # Not the solver's own streams: a solve that starts from the truth's random numbers would be no test.
    return image_seed(seed, f"simulated {name}")


def generators_for(named: Mapping[str, str], settings: Mapping[str, object]) -> dict[str, Generator]:
    """The generators, by parameter.

    named: parameter -> registered name, as `generator_names` gives it. settings: "generator.x" goes to all of them,
    "kernel.x" to that of the parameter `kernel`.
    """
    common = {key.removeprefix("generator."): value for key, value in settings.items() if key.startswith("generator.")}
    made: dict[str, Generator] = {}
    for name, registered in named.items():
        own = {key.removeprefix(f"{name}."): value for key, value in settings.items() if key.startswith(f"{name}.")}
        made[name] = build_component("generator", registered, {**common, **own})
    known = ["operator", "generator", *named]
    for key in settings:
        if key.partition(".")[0] not in known:
            raise Misuse(f"nothing is set by {key}{advice(key.partition('.')[0], known, 'settings begin with')}")
    return made


def generator_names(given: Mapping[str, str], parameters: Mapping[str, ParameterSpec]) -> dict[str, str]:
    """parameter -> registered name of what draws it.

    given: parameter -> name; "image" (a name given without a parameter) stands for every parameter that has none of
    its own. Where nothing is given, a parameter's usual one. IptError: a name for no parameter, a parameter without a
    name.
    """
    for name in given:
        if name not in parameters and name != "image":
            raise Misuse(f"the operator has no parameter {name!r}{advice(name, parameters, 'parameters')}")
    chosen = {name: given.get(name) or given.get("image") or spec.generator for name, spec in parameters.items()}
    for name, registered in chosen.items():
        if not registered:
            raise IptError(f"{name!r} has no usual generator; name one: --generator {name}=NAME (`ipt list generator`)")
    return chosen
