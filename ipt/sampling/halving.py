"""A measurement solved at half its sides, and how its own size continues from there.

    measurement --means over 2x2 pixels--> half the sides --solve--> image and parameters --doubled--> `Continued`

At half its sides a picture has a quarter of the pixels, so that all of it takes part in a solve from coarse to fine,
and not a region alone. Blur that is wide, or differs from place to place, is found better in this way.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ipt.core.abilities import CoarseToFine, Framed, ability
from ipt.core.operator import ParametricOperator
from ipt.core.solver import Solver
from ipt.linalg.resampling import doubled
from ipt.sampling.continuing import Continuation
from ipt.sampling.schedules import Tail

_DOUBLING = 2
"""The doubling of a solve from coarse to fine whose noise level full size begins with (`CoarseToFine.restart`)."""
STEPS = 12
"""Most steps at full size: docs/method.md, Large pictures."""


class Halvable(ABC):
    """An operator whose parameters at half a measurement's sides tell those at its own size."""

    @abstractmethod
    def at_half(self) -> ParametricOperator:
        """The operator for a measurement of half the sides."""

    @abstractmethod
    def enlarged(self, parameters: Mapping[str, Tensor], measurement: tuple[int, ...], solved: bool) -> Continuation:
        """The operator for a measurement (C, H, W), and where it begins.

        Args:
            parameters: found at half the sides, physical and valid, (1, C, h, w) by name.
            measurement: shape, (C, H, W).
            solved: whether priors must take the parameters, since the solve continues.
        """

    @abstractmethod
    def hides_detail(self, parameters: Mapping[str, Tensor], scale: int) -> bool:
        """Whether a measurement tells of no finer detail than an image that was solved at a part of its sides has.

        Args:
            parameters: found, physical and valid, (1, C, h, w) by name.
            scale: how often the sides to which the parameters belong are those at which the image was solved.
        """


def continued(solver: Solver) -> Solver | None:
    """The solver for full size after half of it; None where the rule cannot begin at a given noise level."""
    rule = ability(solver.rule, CoarseToFine)
    start = None if rule is None else rule.restart(_DOUBLING)
    if start is None:
        return None
    schedule = Tail(solver.schedule or solver.rule.schedule(), start, STEPS)
    return replace(solver, schedule=schedule)


def frame_of(operator: ParametricOperator, image: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns of an image (C, H, W) that were measured."""
    framed = ability(operator, Framed)
    return (slice(0, image[-2]), slice(0, image[-1])) if framed is None else framed.frame(image)


def enlarged_image(
    whole: Tensor, frame: tuple[slice, slice], operator: ParametricOperator, measurement: tuple[int, ...]
) -> Tensor:
    """An image at twice its sides; beyond it the nearest pixel is repeated.

    Args:
        whole: the image with its surroundings, (1, C, H, W) in 0..1.
        frame: its rows and columns that were measured.
        operator: at full size.
        measurement: shape at full size, (C, H, W).
    """
    shape = operator.image_shape(measurement)
    own = frame_of(operator, shape)
    large = doubled(whole, (2 * whole.shape[-2], 2 * whole.shape[-1]))
    for axis, small, wide in zip((-2, -1), frame, own, strict=True):
        place = torch.arange(shape[axis], device=large.device) - wide.start + 2 * small.start
        large = large.index_select(axis, place.clamp(0, large.shape[axis] - 1))
    return large
