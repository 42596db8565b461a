"""The checks of operators' abilities: exact steps, masks in them, and a coarser operator."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ipt.core.abilities import Belief, Coarsenable, ExactSteps, ability
from ipt.core.observation import Observation
from ipt.core.operator import IMAGE, Generator, Unknowns
from ipt.linalg.norms import norm, rms
from ipt.linalg.resampling import doubled, halved
from ipt.testing.measures import BATCH, finite, normal, picture, same, uniform
from ipt.testing.operator_harness import OperatorHarness, believed, predicted, scale_of
from ipt.testing.promises import at_most, require, skip

EXACT = 1e-6
"""Largest relative difference of two results that are equal but for rounding in double precision."""
LOWER = 0.999
"""Largest ratio of an objective after a step to that before, for a step that lowers it."""
ALIKE = 0.2
"""Largest difference between an operator and its coarser one, as a share of a smooth picture's deviation."""


def needs_parameters(harness: OperatorHarness) -> None:
    """Skip a check of an operator that has no parameters."""
    if not harness.specs:
        skip("it has no parameters")


def image_step(harness: OperatorHarness) -> None:
    """The promise `image-step`."""
    arguments = harness.arguments()
    observation = Observation(arguments["images"]["measurement"], arguments["deviations"]["noise"])
    belief, valid = believed(arguments["beliefs"][IMAGE], 0.1), arguments["parameters"]
    exact = ability(harness.component, ExactSteps)
    found = None if exact is None else exact.image_step(observation, belief, valid, {})
    if found is None:
        skip("it has no image_step of its own (`ipt.ExactSteps`)")
    finite({"image_step": found})
    require(found.shape == belief.mean.shape, f"image_step gives {tuple(found.shape)} for {tuple(belief.mean.shape)}")

    def objective(image: Tensor) -> Tensor:
        residual = observation.residual(predicted(harness.component, {**valid, IMAGE: image}))
        off = image - belief.mean
        return _sum(residual.square() / observation.noise_variance) + _sum(off * belief.covariance.solve(off))

    at_most(
        float((objective(found) / objective(belief.mean)).max()), LOWER, "objective after image_step, of that before"
    )


def parameter_step(harness: OperatorHarness) -> None:
    """The promise `parameter-step`."""
    needs_parameters(harness)
    arguments = harness.arguments()
    observation = Observation(arguments["images"]["measurement"], arguments["deviations"]["noise"])
    seen = believed(arguments["images"][IMAGE], 0.01)
    sure = {name: believed(value, 0.01 * scale_of(value)) for name, value in arguments["loose"].items()}
    # What no measurement can tell, an operator may settle by a convention (a kernel's centre): the truth is one that it
    # has settled itself.
    exact = ability(harness.component, ExactSteps)
    truth = None if exact is None else exact.parameter_step(observation, seen, sure, {})
    if exact is None or truth is None:
        skip("it has no parameter_step of its own (`ipt.ExactSteps`)")
    require(truth.keys() == sure.keys(), f"parameter_step gives {list(truth)} for {list(sure)}")
    everything: list[list[str]] = [list(truth)]
    for unknown in everything + ([[name] for name in truth] if len(truth) > 1 else []):
        _one_parameter_step(harness, exact, truth, unknown, observation.noise, seen)


def _one_parameter_step(
    harness: OperatorHarness,
    exact: ExactSteps,
    truth: Mapping[str, Tensor],
    unknown: list[str],
    noise: Tensor,
    seen: Belief,
) -> None:
    """Check a step from a poor belief about the parameters `unknown`, with the others known."""

    def fit(loose: Mapping[str, Tensor]) -> Tensor:
        return predicted(harness.component, {IMAGE: seen.mean, **harness.valid({**truth, **loose})})

    measurement = fit({})
    valid = harness.valid(truth)
    known = {name: valid[name] for name in valid if name not in unknown}
    beliefs = {}
    for name in unknown:
        size = scale_of(truth[name])
        beliefs[name] = believed(truth[name] + size * normal(tuple(truth[name].shape), f"off {name}"), size)
    found = exact.parameter_step(Observation(measurement, noise), seen, beliefs, known)
    named = ", ".join(unknown)
    require(found is not None, f"parameter_step returns None where {named} is unknown, but not where all are")
    assert found is not None
    require(found.keys() == beliefs.keys(), f"parameter_step gives {list(found)} for {list(beliefs)}")
    finite({f"parameter_step {name}": value for name, value in found.items()})
    for name, belief in beliefs.items():
        shapes = tuple(found[name].shape), tuple(belief.mean.shape)
        require(shapes[0] == shapes[1], f"parameter_step gives {name} {shapes[0]} for {shapes[1]}")
    before = norm(measurement - fit({name: belief.mean for name, belief in beliefs.items()}))
    after = norm(measurement - fit(found))
    # For a discrete parameter, a poor belief may round to the truth, with a residual of 0 before the step.
    worst = float(torch.where(before > 0, after / before, after).max())
    at_most(worst, LOWER, f"norm of the residual after parameter_step for {named}, of that before")


def mask(harness: OperatorHarness) -> None:
    """The promise `mask`."""
    exact = ability(harness.component, ExactSteps)
    if exact is None:
        skip("it has no steps of its own (`ipt.ExactSteps`)")
    arguments = harness.arguments()
    seen, noise = arguments["images"]["measurement"], arguments["deviations"]["noise"]
    mask = (uniform(tuple(seen[:1, :1].shape), "mask") < 0.7).to(seen)
    image, valid = believed(arguments["beliefs"][IMAGE], 0.1), arguments["parameters"]
    beliefs = {name: believed(value, 0.1 * scale_of(value)) for name, value in arguments["loose"].items()}

    def steps(outside: float) -> Unknowns:
        measurement = mask * seen + outside * (1 - mask)
        observation = Observation(measurement, noise, mask.expand(len(seen), -1, -1, -1))
        moved = exact.image_step(observation, image, valid, {})
        found = exact.parameter_step(observation, image, beliefs, {}) if beliefs else {}
        return {**(found or {}), **({} if moved is None else {IMAGE: moved})}

    same(steps(0.5), steps(0.0), EXACT, "between other values where the mask is 0")


def coarser(harness: OperatorHarness) -> None:
    """The promise `coarser`."""
    able = ability(harness.component, Coarsenable)
    half = None if able is None else able.coarser(harness.shape)
    if half is None:
        skip("it is not coarsenable (`ipt.Coarsenable`), or not for such an image")
    channels, *sides = harness.shape
    generators = {name: given for name, given in harness.given.items() if isinstance(given, Generator)}
    shape = (channels, *(math.ceil(side / 2) for side in sides))
    point = replace(harness, component=half.operator, image_shape=shape, given=generators).point
    found = half.enlarged({name: point[name].clone() for name in point if name != IMAGE})
    require(found.keys() == harness.specs.keys(), f"enlarged gives {list(found)} for {list(harness.specs)}")
    for name, spec in harness.specs.items():
        wanted = (BATCH, *spec.shape)
        require(tuple(found[name].shape) == wanted, f"enlarged gives {name} {tuple(found[name].shape)}, not {wanted}")
    # A smooth picture, of which averaging loses little.
    small = picture((channels, *(math.ceil(side / 8) for side in sides)))
    for times in (4, 2, 1):
        small = doubled(small, (math.ceil(sides[0] / times), math.ceil(sides[1] / times)))
    whole = halved(predicted(harness.component, {IMAGE: small, **harness.valid(found)}))
    wanted_measurement = predicted(half.operator, {**point, IMAGE: halved(small)})
    require(
        whole.shape == wanted_measurement.shape,
        f"the coarser one measures {tuple(wanted_measurement.shape)}, half the measurement is {tuple(whole.shape)}",
    )
    deviation = rms(small - small.mean((1, 2, 3), keepdim=True))
    apart = float((rms(whole - wanted_measurement) / deviation).max())
    at_most(apart, ALIKE, "half the measurement less that of the coarser operator, of the picture's deviation")


def _sum(tensor: Tensor) -> Tensor:
    return tensor.flatten(1).sum(1)
