"""Solve a whole picture, starting from the parameters that were found in a region of it.

    region --solve--> parameters --spread--> image that explains the measurement --noise--> remaining steps

It works like the last doubling of a solve from coarse to fine. The noise level at the start is one at which the whole
picture still corrects the parameters. The surroundings of a region are unknown, so the operator must treat what lies
outside its frame as unknown.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.core.abilities import Belief, CoarseToFine, ExactSteps, Framed, Resizable, ability, framed_shape
from ipt.core.errors import IptError
from ipt.core.operator import IMAGE, Known, ParametricOperator, Unknowns
from ipt.core.problem import Problem
from ipt.core.solver import Solver, State
from ipt.linalg.covariances import Isotropic
from ipt.linalg.random import Noise
from ipt.sampling.levels import Level
from ipt.sampling.schedules import Tail

_DOUBLING = 2
"""The doubling of a solve from coarse to fine whose noise level the whole picture begins with
(`CoarseToFine.restart`)."""
_STEPS = 6
"""Most steps for the whole picture where one parameter holds for all of it: docs/method.md, Coarse to fine."""
_USUAL_DEVIATION = 0.25
"""Standard deviation of pictures in 0..1 about their mean."""


class Regional(ABC):
    """An operator whose parameters differ from place to place, so that a region has others than the whole picture."""

    @abstractmethod
    def of_region(self) -> ParametricOperator:
        """The operator for a region, whose parameters hold for all of it."""

    @abstractmethod
    def spread(self, parameters: Mapping[str, Tensor], measurement: tuple[int, ...]) -> Unknowns:
        """Parameters of `of_region`, (B, C, h, w) by name, spread over a whole measurement (C, H, W)."""


def of_region(solver: Solver) -> Solver:
    """The solver for a region."""
    able = ability(solver.operator, Regional)
    return solver if able is None else replace(solver, operator=able.of_region())


def check(solver: Solver, region: tuple[int, ...], whole: tuple[int, ...]) -> None:
    """Refuse what cannot be solved from a region.

    Args:
        solver: the solver for the whole picture.
        region: shape (C, H, W) of the region.
        whole: shape (C, H, W) of the whole measurement.

    Raises:
        IptError: parameters of the picture's size, a region that is too small for them, an operator with a border rule
            instead of an unknown border, or a rule that cannot begin at a given noise level.
    """
    framed, own = ability(solver.operator, Framed), solver.operator
    schedule(solver)
    shape = own.image_shape(whole)
    if framed is not None and framed_shape(own, shape) == shape:
        raise IptError(
            "region= needs an operator that leaves open what lies around it: leave it out, or border=unknown"
        )
    found = _shapes(of_region(solver).operator, region)
    for name, (_, height, width) in _shapes(operator_of(solver, region, whole), whole).items():
        if found[name][-2:] != (height, width):
            raise IptError(
                f"region= is for parameters that hold for all of the picture, and {name!r} is a map of it; leave it out"
            )
        if 2 * height > region[-2] or 2 * width > region[-1]:
            raise IptError(
                f"the region of {region[-1]} x {region[-2]} px is too small for a {name} of {width} x {height}: "
                f"give region= at least {2 * width} x {2 * height} px, or a smaller {name} (operator.{name}_size)"
            )


def remainder(
    solver: Solver,
    measurement: Tensor,
    noise: Tensor,
    mask: Tensor | None,
    parameters: Mapping[str, Tensor],
    gain: float | Tensor = 0.0,
    known: Known = None,
) -> Level:
    """The level of the whole picture, to be solved when the parameters are known or found in a region.

    Args:
        solver: the solver for the whole picture; its rule goes from coarse to fine.
        measurement: the whole picture, (B, C, H, W).
        noise: standard deviation of its noise, as in `Solver.problem`.
        mask: as in `Solver.problem`.
        parameters: known or found parameters, (draws, C, h, w) by name; the picture's have the same size.
        gain: as in `Solver.problem`.
        known: the known ones of them.
    """
    shapes = {name: tuple(value.shape[1:]) for name, value in parameters.items()}
    operator = _for_shapes(solver.operator, shapes, tuple(measurement.shape[1:]))
    solver = replace(solver, operator=operator, schedule=schedule(solver))
    return Level(solver, solver.problem(measurement, noise, known, mask, gain), dict)


def schedule(solver: Solver) -> Tail:
    """The noise levels for the whole picture; IptError where the rule cannot begin at a given level."""
    rule = ability(solver.rule, CoarseToFine)
    start = None if rule is None else rule.restart(_DOUBLING)
    if start is None:
        raise IptError("region= needs a rule that goes from coarse to fine: leave it out, or choose guidance=proximal")
    steps = _STEPS if ability(solver.operator, Regional) is None else None
    return Tail(solver.schedule or solver.rule.schedule(), start, steps)


def first_state(level: Level, seeds: Sequence[int], normalized: Unknowns) -> State:
    """The first state: the region's parameters and the image that explains the measurement with them, plus noise.

    Args:
        level: the level of the whole picture.
        seeds: a seed for each image.
        normalized: the region's parameters, normalized, (B, C, h, w) by name; none where they are known.
    """
    problem = level.problem
    normalized = _spread(problem.operator, normalized, tuple(problem.observation.measurement.shape[1:]))
    parameters = {name: problem.normalizations[name].physical(value) for name, value in normalized.items()}
    with torch.no_grad():
        image = _image_given(problem, problem.valid(parameters))
    clean = {IMAGE: problem.normalizations[IMAGE].normalized(image), **normalized}
    return level.solver.start(problem, Noise(seeds), clean)


def _image_given(problem: Problem, parameters: Unknowns) -> Tensor:
    """The image (B, C, H, W) that explains the measurement with these parameters, clipped to 0..1.

    The prior is a Gaussian about the measurement itself. About a constant image the result would ring at the frame's
    edges, and the few steps that follow would leave that in skies.
    """
    measurement, exact = problem.observation.measurement, ability(problem.operator, ExactSteps)
    observation, mean = problem.observation.at(measurement), _measurement_as_image(problem)
    belief = Belief(mean, Isotropic.like(mean, _USUAL_DEVIATION), sigma=math.inf)
    found = None if exact is None else exact.image_step(observation, belief, parameters, {})
    return (mean if found is None else found).clamp(0, 1)


def _measurement_as_image(problem: Problem) -> Tensor:
    """The measurement as an image (B, C, H, W), or a constant image of its mean where their sizes differ.

    Unmeasured pixels are filled in, and around the frame the nearest pixel is repeated.
    """
    observation, shape = problem.observation, problem.normalizations[IMAGE].physical_shape
    measurement = observation.measurement
    if measurement.shape[1:] != framed_shape(problem.operator, shape):
        return measurement.mean((1, 2, 3), keepdim=True).expand(-1, *shape)
    if observation.mask is not None:
        measurement = _filled(measurement, (observation.mask > 0).expand_as(measurement))
    framed = ability(problem.operator, Framed)
    if framed is None:
        return measurement
    rows, columns = framed.frame(shape)
    around = columns.start, shape[-1] - columns.stop, rows.start, shape[-2] - rows.stop
    return F.pad(measurement, around, mode="replicate")


def _filled(values: Tensor, measured: Tensor) -> Tensor:
    """Values (B, C, H, W) with the mean of the nearest measured pixels in place of unmeasured ones."""
    seen = measured.to(values)
    filled, reach = values * seen, 1
    unknown = measured.flatten(2).any(2)[..., None, None] & ~measured
    while unknown.any():
        near, total = (F.avg_pool2d(each, 2 * reach + 1, 1, reach) for each in (seen, filled))
        found = unknown & (near > 0)
        filled, seen = torch.where(found, total / near.clamp(min=1e-12), filled), torch.where(found, 1.0, seen)
        unknown, reach = unknown & ~found, 2 * reach
    return filled


def operator_of(solver: Solver, region: tuple[int, ...], whole: tuple[int, ...]) -> ParametricOperator:
    """The operator of a whole measurement (C, H, W), with parameters of the size that they have in a region of it."""
    return _for_shapes(solver.operator, _shapes(of_region(solver).operator, region), whole)


def _shapes(operator: ParametricOperator, measurement: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Shapes of the parameters for a measurement (C, H, W), by name."""
    return {name: spec.shape for name, spec in operator.parameters(operator.image_shape(measurement)).items()}


def _spread(operator: ParametricOperator, parameters: Mapping[str, Tensor], measurement: tuple[int, ...]) -> Unknowns:
    """Parameters of a region spread over a measurement (C, H, W), where the operator is `Regional`; else unchanged."""
    regional = ability(operator, Regional)
    return dict(parameters) if regional is None else regional.spread(parameters, measurement)


def _for_shapes(
    operator: ParametricOperator, shapes: dict[str, tuple[int, ...]], measurement: tuple[int, ...]
) -> ParametricOperator:
    """The operator for a measurement (C, H, W) with parameters of these shapes, which they have in a region."""
    resizable = ability(operator, Resizable)
    if resizable is None:
        return operator
    examples = {name: torch.zeros(1, *shape) for name, shape in shapes.items()}
    return resizable.resized(_spread(operator, examples, measurement))
