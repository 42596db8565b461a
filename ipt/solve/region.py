"""The region of a picture in which its parameters are found, before all of it is solved with them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.core.abilities import Assessable, ability
from ipt.core.errors import IptError, Misuse
from ipt.core.operator import ParameterSpec, ParametricOperator
from ipt.images.fit import Fitted
from ipt.linalg.resampling import halved
from ipt.sampling import regional
from ipt.solve.options import AUTO, NONE
from ipt.solve.streak import kernel_of
from ipt.solve.streaks import found_streak
from ipt.solve.task import SamplingTask
from ipt.solve.tiles import SIDE

Region = tuple[int, int, int, int]
"""(x, y, width, height) in pixels, x and y of its upper left corner."""
CHOSEN_SIDE = 384
"""Pixels of a region that is chosen; a picture of less than twice its pixels is solved together."""


def with_region(task: SamplingTask, region: Region | str, fitted: Fitted) -> SamplingTask:
    """A task whose parameters are found in a region first, if they are not known.

    Args:
        task: the whole picture.
        region: in pixels of the picture; "none"; or "auto": of a large picture, where there is most texture in every
            direction and nothing is left out by the mask, if the operator can tell whether what it finds is right.
        fitted: how the picture was fitted to the prior.

    Raises:
        IptError: the region is not within the picture, or too small; the picture is resized; the parameters are known,
            or of the picture's size.
    """
    height, width = task.shape[-2:]
    if isinstance(region, str):
        if region not in (AUTO, NONE):
            raise Misuse(f"region= is auto, none or (x, y, width, height) in pixels, not {region!r}")
        if region == NONE or fitted.side:
            return task
        if task.known:
            return _begun(task)
        if not _has_use_for_one(task):
            return task
        region = textured(task.measurement[0], None if task.mask is None else task.mask[0], CHOSEN_SIDE)
    left, top, across, down = _checked(region, width, height)
    if (across, down) == (width, height):
        return task
    if fitted.side:
        raise IptError("region= is for a picture that is solved at its own size: leave it out, or choose fit=tile")
    if task.known:
        if unknown := set(_parameters(task, task.solver.operator)) - set(task.known):
            raise IptError(
                f"with {', '.join(task.known)} known, {', '.join(sorted(unknown))} cannot be found in a region: "
                f"leave out region="
            )
        return _begun(task)
    regional.check(task.solver, (task.shape[0], down, across), task.shape)
    found = replace(task, region=(slice(top, top + down), slice(left, left + across)))
    of_region = found.of_region()
    if of_region.mask is not None and not bool(of_region.mask.any()):
        raise IptError("nothing in the region is trusted: give another region=, or another mask=")
    try:
        of_region.solver.problem(of_region.measurement, of_region.noise, gain=of_region.gain)
    except ValueError as error:
        raise IptError(f"the region of {across} x {down} px cannot be solved: {error}") from error
    return found


def with_streak(task: SamplingTask, streak: Region, region: Region | str, fitted: Fitted) -> SamplingTask:
    """A task whose kernel begins as a streak in the picture shows it.

    Args:
        task: the whole picture.
        streak: a rectangle about it, in pixels of the picture.
        region: as of `with_region`; a chosen one is not needed.
        fitted: how the picture was fitted to the prior.

    Raises:
        IptError: the rectangle is not within the picture, or shows no kernel; the picture is resized; a kernel is not
            the one thing that is unknown besides the picture, or what lies around the picture is known.
    """
    (channels, height, width), solver = task.shape, task.solver
    left, top, across, down = _checked(streak, width, height, "streak")
    if not isinstance(region, str):
        raise IptError("streak= and region= both say where the kernel is found: leave out one of them")
    if fitted.side:
        raise IptError("streak= is for a picture that is solved at its own size: leave it out, or choose fit=tile")
    if (sides := _sides(task)) is None:
        raise IptError("streak= is for one picture of which only a kernel is unknown besides: leave it out")
    kernel = kernel_of(task.measurement[0, :, top : top + down, left : left + across], sides)
    try:
        regional.check(solver, (channels, min(height, SIDE), min(width, SIDE)), task.shape)
    except IptError as error:
        raise IptError(
            "streak= needs guidance=proximal and an operator that leaves open what lies around the picture "
            "(border=unknown), of a picture of at least twice the kernel's sides"
        ) from error
    return replace(task, begun=True, start={"kernel": kernel.to(task.measurement)})


def suggested_streak(task: SamplingTask, fitted: Fitted) -> tuple[Region, Tensor] | None:
    """A rectangle for `with_streak` about a streak that others in the picture are like, and the kernel that it shows.

    None: there is none.
    """
    if fitted.side or (sides := _sides(task)) is None:
        return None
    if (streak := found_streak(task.measurement[0], sides)) is None:
        return None
    try:
        return streak, with_streak(task, streak, AUTO, fitted).start["kernel"]
    except IptError:
        # What lies around the picture is known, or the rule cannot begin there.
        return None


def _sides(task: SamplingTask) -> tuple[int, int] | None:
    """Height and width of the one kernel that is all that is unknown besides the picture; None: it is not."""
    one = regional.of_region(task.solver).operator
    unknown = {name: spec for name, spec in _parameters(task, one).items() if name not in task.known}
    if set(unknown) != {"kernel"} or unknown["kernel"].shape[0] != 1:
        return None
    _, height, width = unknown["kernel"].shape
    return height, width


def _has_use_for_one(task: SamplingTask) -> bool:
    """Whether a picture is so large that a region pays, and may be solved from one."""
    _, height, width = shape = task.shape
    if min(height, width) < CHOSEN_SIDE or height * width < 2 * CHOSEN_SIDE**2:
        return False
    if ability(task.solver.operator, Assessable) is None:
        return False
    try:
        regional.check(task.solver, (shape[0], CHOSEN_SIDE, CHOSEN_SIDE), shape)
    except IptError:
        return False
    return True


def _begun(task: SamplingTask) -> SamplingTask:
    """A task whose parameters are known, which is solved from there where it is larger than a tile and may be."""
    _, *sides = task.shape
    if set(_parameters(task, task.solver.operator)) - set(task.known) or math.prod(sides) <= SIDE**2:
        return task
    try:
        regional.check(task.solver, (task.shape[0], *(min(side, SIDE) for side in sides)), task.shape)
    except IptError:
        return task
    return replace(task, begun=True)


def _parameters(task: SamplingTask, operator: ParametricOperator) -> Mapping[str, ParameterSpec]:
    return operator.parameters(operator.image_shape(task.shape))


def textured(pixels: Tensor, mask: Tensor | None, side: int) -> Region:
    """The square with most texture in the direction in which it has least, and as little outside the mask as can be.

    Args:
        pixels: (C, H, W) in 0..1; both sides at least `side`.
        mask: (1 or C, H, W), 1 where the picture is trusted.
        side: of the square, in pixels.

    References:
        Shi, Tomasi, "Good Features to Track", CVPR 1994 (the smaller eigenvalue of the gradients' second moments).
    """
    # Noise is no texture: gradients of a picture of half the sides, each within its two neighbours' trust.
    small, half = halved(pixels.mean(0)[None, None]), side // 2
    trust = torch.ones_like(small) if mask is None else (halved(mask.amin(0)[None, None]) > 0.99).to(small)
    down = F.pad(small[..., 1:, :] - small[..., :-1, :], (0, 0, 0, 1))
    across = F.pad(small[..., :, 1:] - small[..., :, :-1], (0, 1))
    moments = torch.cat([*(trust * each for each in (down.square(), across.square(), down * across)), 1 - trust], 1)
    yy, xx, yx, out = F.avg_pool2d(moments, half, max(1, half // 8))[0]
    least = (yy + xx) / 2 - ((yy - xx).square() / 4 + yx.square()).sqrt()
    best = int((least * (out <= out.min() + 1e-6)).argmax())
    row, column = divmod(best, least.shape[1])
    stride = 2 * max(1, half // 8)
    return min(column * stride, pixels.shape[2] - side), min(row * stride, pixels.shape[1] - side), side, side


def _checked(region: Region, width: int, height: int, name: str = "region") -> Region:
    """Four whole numbers within the picture."""
    if len(region) != 4 or not all(isinstance(value, int) for value in region):
        raise Misuse(f"{name}= is (x, y, width, height) in whole pixels, not {region!r}")
    left, top, across, down = region
    if across < 1 or down < 1 or left < 0 or top < 0 or left + across > width or top + down > height:
        raise IptError(
            f"the {name} of {across} x {down} px at {left},{top} is not within the picture of {width} x {height} px: "
            f"give {name}= as x, y, width, height, the corner from the upper left"
        )
    return left, top, across, down
