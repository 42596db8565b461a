"""`SamplingTask`: a measurement whose posterior is sampled, without files, pictures or options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ipt.core.observation import Observation
from ipt.core.operator import ParametricOperator
from ipt.core.solver import Solution, Solver
from ipt.sampling import regional
from ipt.solve.parts import Part

CHOSEN_SIDE = 384
"""Side in pixels of a region that is chosen automatically, in pictures of at least twice its area."""


def is_large(shape: Sequence[int]) -> bool:
    """Whether a measurement (C, H, W) is so large that it begins with a region, or at half its sides."""
    height, width = shape[-2:]
    return min(height, width) >= CHOSEN_SIDE and height * width >= 2 * CHOSEN_SIDE**2


@dataclass(frozen=True)
class SamplingTask:
    """A measurement whose posterior is sampled.

    Tasks that are solved together have the same `kind` and equal solvers.

    Attributes:
        solver: of several tasks that are solved together, the first one's is used for all.
        measurement: (1, C, H, W), of pictures in 0..1.
        noise: its standard deviation, or a map of it, (1, 1 or C, H, W).
        known: known parameters by name, (1, C, H, W) each.
        seeds: one per draw.
        mask: 1 where the picture was measured, 0 elsewhere, (1, 1 or C, H, W); None: 1 everywhere.
        reserve: seeds of further draws, made one after the other: a second one if the first is not sure to be right,
            others while none is likely right.
        region: rows and columns of the measurement in which the parameters are found first, to solve the whole picture
            with them (`ipt.sampling.regional`). None: the whole picture is solved at once.
        half: whether it is solved at half its sides first. With a region, the likelier of both is continued.
        gain: variance of the noise per unit of signal, besides `noise` squared.
        part: which part of a larger picture the measurement is, for previews; None: it is a whole picture.
        begun: whether the solve begins with values of all parameters: known ones, `start`, or a region's.
        start: initial values of parameters, as `known`; unlike known ones, they are corrected.
    """

    solver: Solver
    measurement: Tensor
    noise: float | Tensor
    known: Mapping[str, Tensor]
    seeds: tuple[int, ...]
    mask: Tensor | None = None
    reserve: tuple[int, ...] = ()
    region: tuple[slice, slice] | None = None
    half: bool = False
    gain: float = 0.0
    part: Part | None = None
    begun: bool = False
    start: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def observation(self) -> Observation:
        """Measurement, noise and mask, with weights where the noise varies."""
        return Observation.checked(self.measurement, self.noise, self.mask, self.gain)

    @property
    def level(self) -> float:
        """Standard deviation of the noise where the observation's weight is 1."""
        constant = isinstance(self.noise, float) and not self.gain
        return float(self.noise if constant else self.observation.noise)

    @property
    def from_parameters(self) -> bool:
        """Whether the whole picture is solved from parameters that are given, or were found in a region."""
        return self.begun or self.region is not None

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W)."""
        return tuple(self.measurement.shape[1:])

    def operator_of(self, solution: Solution) -> ParametricOperator:
        """The operator of a solution's parameters: the solver's, unless the solution has one of its own."""
        return solution.operator or self.solver.operator

    def residual(self, operator: ParametricOperator, whole: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """Measurement - prediction, weighted where the noise varies, (C, H, W).

        Args:
            operator: of the parameters.
            whole: the image with its surroundings, (1, C, H, W).
            parameters: (1, C, h, w) by name, physical and valid.
        """
        with torch.no_grad():
            return self.observation.residual(operator.forward(whole, **parameters))[0]

    @property
    def kind(self) -> tuple[object, ...]:
        """Shapes and settings that tasks must share to be solved together."""
        sides = () if self.region is None else tuple(span.stop - span.start for span in self.region)
        levels = () if isinstance(self.noise, float) else tuple(self.noise.shape)
        return self.shape, self.mask is None, levels, sides, self.half, self.begun

    def within(self, rows: slice, columns: slice) -> SamplingTask:
        """The task of a part of the measurement, given by rows and columns."""
        place = (..., rows, columns)
        mask = None if self.mask is None else self.mask[place]
        noise = self.noise if isinstance(self.noise, float) else self.noise[place]
        return replace(self, measurement=self.measurement[place], noise=noise, mask=mask, region=None, half=False)

    def of_region(self) -> SamplingTask:
        """The task of the region alone."""
        assert self.region is not None
        return replace(self.within(*self.region), solver=regional.of_region(self.solver), begun=False)
