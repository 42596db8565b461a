"""Where a solve of a large picture starts: a region in which its parameters are found, or a streak that shows a kernel.

`with_region` and `with_streak` check and complete a `SamplingTask`; `ipt.solve.batches` solves it in that order.
"""

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
from ipt.solve.halving import can_begin_at_half
from ipt.solve.options import AUTO, HALF, NONE
from ipt.solve.streak import kernel_of
from ipt.solve.streaks import found_streak
from ipt.solve.task import CHOSEN_SIDE, SamplingTask, is_large
from ipt.solve.tiles import SIDE

Region = tuple[int, int, int, int]
"""(x, y, width, height) in pixels; (x, y) is the upper left corner."""


def with_region(task: SamplingTask, region: Region | str, fitted: Fitted) -> SamplingTask:
    """A task whose unknown parameters are found in a region first.

    Args:
        task: the whole picture.
        region: in pixels of the picture; "none"; "half": the picture at half its sides; or "auto": in a large picture,
            and if the operator can assess its parameters (`Assessable`), the picture at half its sides, if it can be
            solved so, and the unmasked square with most texture in all directions.
        fitted: how the picture was fitted to the prior.

    Raises:
        IptError: the region is not within the picture, fully masked, or too small; the picture is resized; some
            parameters are known and others not; the parameters have the picture's size.
    """
    height, width = task.shape[-2:]
    if isinstance(region, str):
        if region not in (AUTO, HALF, NONE):
            raise Misuse(f"region= is auto, half, none or (x, y, width, height) in pixels, not {region!r}")
        if region == HALF:
            return _at_half(task, fitted)
        if region == NONE or fitted.side:
            return task
        if task.known:
            return _started_from_known(task)
        if not _gains_from_region(task):
            return task
        region = textured(task.measurement[0], None if task.mask is None else task.mask[0], CHOSEN_SIDE)
        task = replace(task, half=can_begin_at_half(task))
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
        return _started_from_known(task)
    regional.check(task.solver, (task.shape[0], down, across), task.shape)
    started = replace(task, region=(slice(top, top + down), slice(left, left + across)))
    of_region = started.of_region()
    if of_region.mask is not None and not bool(of_region.mask.any()):
        raise IptError("nothing in the region is trusted: give another region=, or another mask=")
    try:
        of_region.solver.problem(of_region.measurement, of_region.noise, gain=of_region.gain)
    except ValueError as error:
        raise IptError(f"the region of {across} x {down} px cannot be solved: {error}") from error
    return started


def with_streak(task: SamplingTask, streak: Region, region: Region | str, fitted: Fitted) -> SamplingTask:
    """A task whose kernel starts as the streak of light in a rectangle of the picture.

    Args:
        task: the whole picture.
        streak: the rectangle, in pixels of the picture.
        region: as of `with_region`; it must not be a rectangle too.
        fitted: how the picture was fitted to the prior.

    Raises:
        IptError: the rectangle is not within the picture, or shows no kernel; a region is given as well; the picture is
            resized; there are other unknowns than one kernel and the image; the border is not `unknown`.
    """
    channels, height, width = task.shape
    left, top, across, down = _checked(streak, width, height, "streak")
    if not isinstance(region, str):
        raise IptError("streak= and region= both say where the kernel is found: leave out one of them")
    if fitted.side:
        raise IptError("streak= is for a picture that is solved at its own size: leave it out, or choose fit=tile")
    if (sides := _kernel_sides(task)) is None:
        raise IptError("streak= is for one picture with a kernel as the only unknown parameter: leave it out")
    kernel = kernel_of(task.measurement[0, :, top : top + down, left : left + across], sides)
    try:
        regional.check(task.solver, (channels, min(height, SIDE), min(width, SIDE)), task.shape)
    except IptError as error:
        raise IptError(
            "streak= needs guidance=proximal and an operator that leaves open what lies around the picture "
            "(border=unknown), of a picture of at least twice the kernel's sides"
        ) from error
    return replace(task, begun=True, start={"kernel": kernel.to(task.measurement)})


def suggested_streak(task: SamplingTask, fitted: Fitted) -> tuple[Region, Tensor] | None:
    """A rectangle for `with_streak` and the kernel that it shows, (1, 1, h, w).

    None if the picture has no streaks that agree with each other, or no solve can start from one.
    """
    if fitted.side or (sides := _kernel_sides(task)) is None:
        return None
    if (streak := found_streak(task.measurement[0], sides)) is None:
        return None
    try:
        return streak, with_streak(task, streak, AUTO, fitted).start["kernel"]
    except IptError:
        # The border is not `unknown`, or the rule cannot start from a kernel.
        return None


def _kernel_sides(task: SamplingTask) -> tuple[int, int] | None:
    """Height and width of the kernel, if it is the only unknown parameter; else None."""
    operator = regional.of_region(task.solver).operator
    unknown = {name: spec for name, spec in _parameters(task, operator).items() if name not in task.known}
    if set(unknown) != {"kernel"} or unknown["kernel"].shape[0] != 1:
        return None
    _, height, width = unknown["kernel"].shape
    return height, width


def _at_half(task: SamplingTask, fitted: Fitted) -> SamplingTask:
    """A task that is solved at half its sides first; IptError where that is not possible."""
    if fitted.side or not can_begin_at_half(task):
        raise IptError(
            "region=half is for pictures at their own size, with guidance=proximal, operator=blur, an unknown kernel "
            "and border=unknown, of which half the sides can be solved: leave it out"
        )
    return replace(task, half=True)


def _gains_from_region(task: SamplingTask) -> bool:
    """Whether a picture is so large that a region saves time, and its solver can start from one."""
    if not is_large(task.shape):
        return False
    if ability(task.solver.operator, Assessable) is None:
        return False
    try:
        regional.check(task.solver, (task.shape[0], CHOSEN_SIDE, CHOSEN_SIDE), task.shape)
    except IptError:
        return False
    return True


def _started_from_known(task: SamplingTask) -> SamplingTask:
    """A task that is solved from its known parameters: if all are known, it is larger than a tile, and the rule can."""
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
    """The square with most texture in the direction in which it has least, among those with the least masked area.

    Args:
        pixels: (C, H, W) in 0..1; both sides at least `side`.
        mask: (1 or C, H, W), 1 where the picture is trusted; None: everywhere.
        side: of the square, in pixels.

    References:
        Shi, Tomasi, "Good Features to Track", CVPR 1994 (the smaller eigenvalue of the gradients' second moments).
    """
    # Gradients at half the resolution, where noise is weaker.
    small, half = halved(pixels.mean(0)[None, None]), side // 2
    stride = max(1, half // 8)
    trust = torch.ones_like(small) if mask is None else (halved(mask.amin(0)[None, None]) > 0.99).to(small)
    down = F.pad(small[..., 1:, :] - small[..., :-1, :], (0, 0, 0, 1))
    across = F.pad(small[..., :, 1:] - small[..., :, :-1], (0, 1))
    moments = [trust * moment for moment in (down.square(), across.square(), down * across)]
    yy, xx, yx, masked = F.avg_pool2d(torch.cat([*moments, 1 - trust], 1), half, stride)[0]
    smaller_eigenvalue = (yy + xx) / 2 - ((yy - xx).square() / 4 + yx.square()).sqrt()
    best = int((smaller_eigenvalue * (masked <= masked.min() + 1e-6)).argmax())
    row, column = divmod(best, smaller_eigenvalue.shape[1])
    left, top = 2 * stride * column, 2 * stride * row
    return min(left, pixels.shape[2] - side), min(top, pixels.shape[1] - side), side, side


def _checked(region: Region, width: int, height: int, name: str = "region") -> Region:
    """The rectangle, if it is four whole numbers within the picture; name: of the argument, for messages."""
    if len(region) != 4 or not all(isinstance(value, int) for value in region):
        raise Misuse(f"{name}= is (x, y, width, height) in whole pixels, not {region!r}")
    left, top, across, down = region
    if across < 1 or down < 1 or left < 0 or top < 0 or left + across > width or top + down > height:
        raise IptError(
            f"the {name} of {across} x {down} px at {left},{top} is not within the picture of {width} x {height} px: "
            f"give {name}= as x, y, width, height, the corner from the upper left"
        )
    return left, top, across, down
