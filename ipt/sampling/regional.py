"""All of a picture, solved from the parameters that were found in a region of it.

It is the last doubling of a solve from coarse to fine: the noise level is one at which the parameters are still
corrected, by all of the picture. What lies around a region is not known, so the operator must leave open what lies
outside its frame.
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
from ipt.sampling.multiscale import Level
from ipt.sampling.schedules import Tail

_DOUBLING = 2
"""Of a solve from coarse to fine, the one whose noise level the whole picture begins with (`CoarseToFine.restart`)."""
_STEPS = 6
"""At most, where parameters need not part: docs/method.md, Coarse to fine."""
_USUAL_DEVIATION, _UNSEEN = 0.25, math.inf
"""Of an image about what is known of it, in 0..1, and the level of the noise it was seen through."""


class Regional(ABC):
    """An operator whose parameters have places in the frame: those of a region are not those of all of the picture."""

    @abstractmethod
    def of_region(self) -> ParametricOperator:
        """The operator with which a region is solved."""

    @abstractmethod
    def spread(self, parameters: Mapping[str, Tensor], measurement: tuple[int, ...]) -> Unknowns:
        """Parameters of `of_region`, (B, C, h, w) by name, as those of all of a measurement (C, H, W) begin."""


def of_region(solver: Solver) -> Solver:
    """The solver of a region."""
    able = ability(solver.operator, Regional)
    return solver if able is None else replace(solver, operator=able.of_region())


def check(solver: Solver, region: tuple[int, ...], whole: tuple[int, ...]) -> None:
    """Refuse what cannot be solved from a region.

    Args:
        solver: of the picture.
        region: (C, H, W) of the measurement's region.
        whole: (C, H, W) of the measurement.

    Raises:
        IptError: parameters of the picture's size, a region that is too small for them, an operator that knows what is
            outside its frame, a rule that cannot go on from a given noise level.
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
    """What is left to solve when the parameters are given, or those of a region are found.

    Args:
        solver: of the picture; its rule goes from coarse to fine.
        measurement: (B, C, H, W), all of the picture.
        noise: its standard deviation, as of `Solver.problem`.
        mask: as of `Solver.problem`.
        parameters: that were found or are given, (draws, C, h, w), of whose sizes the picture's are.
        gain: as of `Solver.problem`.
        known: those that are given.
    """
    shapes = {name: tuple(value.shape[1:]) for name, value in parameters.items()}
    operator = _for_shapes(solver.operator, shapes, tuple(measurement.shape[1:]))
    solver = replace(solver, operator=operator, schedule=schedule(solver))
    return Level(solver, solver.problem(measurement, noise, known, mask, gain), dict)


def schedule(solver: Solver) -> Tail:
    """The noise levels of the whole picture; IptError: the rule cannot begin with them."""
    rule = ability(solver.rule, CoarseToFine)
    start = None if rule is None else rule.restart(_DOUBLING)
    if start is None:
        raise IptError("region= needs a rule that goes from coarse to fine: leave it out, or choose guidance=proximal")
    steps = _STEPS if ability(solver.operator, Regional) is None else None
    return Tail(solver.schedule or solver.rule.schedule(), start, steps)


def first_state(level: Level, seeds: Sequence[int], normalized: Unknowns) -> State:
    """Noise about the parameters found, and about the image that explains the measurement with them.

    Args:
        level: of all of the picture.
        seeds: one an image.
        normalized: the region's parameters, as their priors have them, (B, C, h, w); none where they are given.
    """
    problem = level.problem
    normalized = _spread(problem.operator, normalized, tuple(problem.observation.measurement.shape[1:]))
    parameters = {name: problem.normalizations[name].physical(value) for name, value in normalized.items()}
    with torch.no_grad():
        image = _explaining(problem, problem.valid(parameters))
    clean = {IMAGE: problem.normalizations[IMAGE].normalized(image), **normalized}
    return level.solver.start(problem, Noise(seeds), clean)


def _explaining(problem: Problem, parameters: Unknowns) -> Tensor:
    """The image (B, C, H, W) of given parameters that is about the measurement, as pictures usually are about a mean.

    About an even image it would ring at the frame's edges, which a few steps leave in skies.
    """
    measurement, exact = problem.observation.measurement, ability(problem.operator, ExactSteps)
    observation, about = problem.observation.at(measurement), _measured(problem)
    belief = Belief(about, Isotropic.like(about, _USUAL_DEVIATION), _UNSEEN)
    found = None if exact is None else exact.image_step(observation, belief, parameters, {})
    return (about if found is None else found).clamp(0, 1)


def _measured(problem: Problem) -> Tensor:
    """The measurement as an image (B, C, H, W); or its mean, as one.

    Around it is its nearest pixel, and where nothing was measured the mean of the nearest that were.
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
    """Values (B, C, H, W), those that were not measured replaced by the mean of the nearest that were."""
    seen = measured.to(values)
    filled, unknown, reach = values * seen, measured.flatten(2).any(2)[..., None, None] & ~measured, 1
    while unknown.any():
        near, total = (F.avg_pool2d(each, 2 * reach + 1, 1, reach) for each in (seen, filled))
        found = unknown & (near > 0)
        filled, seen = torch.where(found, total / near.clamp(min=1e-12), filled), torch.where(found, 1.0, seen)
        unknown, reach = unknown & ~found, 2 * reach
    return filled


def operator_of(solver: Solver, region: tuple[int, ...], whole: tuple[int, ...]) -> ParametricOperator:
    """The operator of a measurement (C, H, W), with parameters as large as those that are found in a region of it."""
    return _for_shapes(solver.operator, _shapes(of_region(solver).operator, region), whole)


def _shapes(operator: ParametricOperator, measurement: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    return {name: spec.shape for name, spec in operator.parameters(operator.image_shape(measurement)).items()}


def _spread(operator: ParametricOperator, parameters: Mapping[str, Tensor], measurement: tuple[int, ...]) -> Unknowns:
    able = ability(operator, Regional)
    return dict(parameters) if able is None else able.spread(parameters, measurement)


def _for_shapes(
    operator: ParametricOperator, shapes: dict[str, tuple[int, ...]], measurement: tuple[int, ...]
) -> ParametricOperator:
    """The operator of a measurement (C, H, W) with parameters as large as these of a region."""
    resizable = ability(operator, Resizable)
    if resizable is None:
        return operator
    return resizable.resized(
        _spread(operator, {name: torch.zeros(1, *shape) for name, shape in shapes.items()}, measurement)
    )
