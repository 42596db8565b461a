"""Lamps: where a camera clips, a measurement says that there is so much light or more, and no more than that.

What is clipped, and what its light is spread to, is left out of a solve: no picture in 0..1 explains it, and priors of
pictures know nothing brighter. So what is found there is what surrounds it. Once the parameters are known, light is
added where the solve saw nothing, until it explains what was measured:

    minimise over e >= 0  sum over unclipped (y - A(x + e))^2 + sum over clipped max(0, y - A(x + e))^2

A is linear. The rest of the picture stays as it is.

References:
    Beck, Teboulle, "A Fast Iterative Shrinkage-Thresholding Algorithm for Linear Inverse Problems", SIAM Journal on
    Imaging Sciences 2, 2009 (the iteration).
    Whyte, Sivic, Zisserman, "Deblurring Shaken and Partially Saturated Images", International Journal of Computer
    Vision 110, 2014 (clipped pixels in the forward model).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from ipt.core.abilities import Framed, Linear, Resizable, ability
from ipt.core.operator import ParametricOperator
from ipt.core.solver import Solution
from ipt.images.light import encoded
from ipt.sampling.regional import Regional
from ipt.solve.masks import CLIPPED_FROM
from ipt.solve.prepare import PreparedImage

_ITERATIONS = 100
_UNSEEN = 0.5
"""Share of the light of a place that falls where the solve saw nothing, from which on it may be a lamp."""
_STALLED = 0.98
"""Of the misfit before, above which a step has gained too little: what is left is no light. Further steps would make it
rough, where exposures disagree."""
_SLACK = 1.2
"""Times the bound of a step: weights of interpolation may be negative."""


def with_lamps(prepared: PreparedImage, solution: Solution) -> Solution:
    """The solution of `prepared.sampling` with the light of what is clipped; where it says nothing, as it is."""
    sampling, lamps = prepared.sampling, prepared.lamps
    operator = solution.operator or sampling.solver.operator
    framed = ability(operator, Framed)
    if lamps is None or sampling.mask is None or ability(operator, Linear) is None:
        return solution
    rows, columns = (slice(0, side) for side in solution.whole.shape[2:])
    if framed is not None:
        rows, columns = framed.frame(tuple(solution.whole.shape[1:]))
    if (rows.stop - rows.start, columns.stop - columns.start) != tuple(lamps.shape[2:]):
        # Of other pixels than the measurement's.
        return solution
    level = prepared.task.clipped
    values = encoded(sampling.measurement) if prepared.linear else sampling.measurement
    seen = Seen(
        sampling.measurement,
        ((lamps > 0) | (sampling.mask > 0)).to(values),
        values >= (level if isinstance(level, float) else CLIPPED_FROM),
        lamps.to(values),
    )
    each = []
    for draw, one in enumerate(solution.whole):
        parameters = {name: value[draw : draw + 1] for name, value in solution.parameters.items()}
        each.append(lit(operator, one[None], parameters, seen))
    whole = torch.cat(each)
    return replace(solution, whole=whole, image=whole[..., rows, columns])


@dataclass(frozen=True)
class Seen:
    """What was measured of a picture with lamps.

    Attributes:
        values: (1, C, H, W), those that are clipped as they are.
        counted: 1 where they mean something, (1, 1 or C, H, W).
        clipped: where they are clipped, (1, C, H, W).
        lamps: 1 where a solve left them out because of that, (1, 1 or C, H, W).
    """

    values: Tensor
    counted: Tensor
    clipped: Tensor
    lamps: Tensor

    def within(self, rows: slice, columns: slice, lamps: Tensor) -> Seen:
        """Of a part of it, with some of its lamps."""
        values, counted, clipped = (each[..., rows, columns] for each in (self.values, self.counted, self.clipped))
        return Seen(values, counted, clipped, lamps)


def lit(operator: ParametricOperator, image: Tensor, parameters: Mapping[str, Tensor], seen: Seen) -> Tensor:
    """An image with the light of its lamps, at most white where there is some, (1, C, H, W).

    Args:
        operator: linear in the image.
        image: without them, (1, C, H, W) in 0..1; the measurement's frame is in its middle.
        parameters: all of them, valid.
        seen: what was measured.
    """
    found = image.clone()
    with torch.no_grad():
        unexplained = seen.values - operator.forward(image, **parameters)
    margins = [(image.shape[dim] - seen.lamps.shape[dim]) // 2 for dim in (2, 3)]
    inside = found[..., margins[0] : image.shape[2] - margins[0], margins[1] : image.shape[3] - margins[1]]
    for part, rows, columns, lamps in _parts(operator, image, parameters, seen.lamps):
        own = inside[..., rows, columns]
        light = _light(part, parameters, unexplained[..., rows, columns], seen.within(rows, columns, lamps))
        own.copy_(torch.where(light > 0, (own + light).clamp(max=1), own))
    return found


def _parts(
    operator: ParametricOperator, image: Tensor, parameters: Mapping[str, Tensor], lamps: Tensor
) -> Iterator[tuple[ParametricOperator, slice, slice, Tensor]]:
    """Parts of the measurement that hold some lamps and all that their light is spread to; the operator there first."""
    height, width = lamps.shape[2:]
    margin, able = (image.shape[2] - height) // 2, ability(operator, Resizable)
    boxes = []
    # Parameters that hold everywhere reach no further than the margin.
    anywhere = all(max(value.shape[2:]) <= 2 * margin + 1 for value in parameters.values())
    if anywhere and able is not None and ability(operator, Regional) is None:
        near = ndimage.maximum_filter((lamps[0] > 0).any(0).numpy(force=True), 2 * margin + 1)
        labels = torch.from_numpy(ndimage.label(near)[0]).to(lamps.device)
        boxes = ndimage.find_objects(labels.numpy(force=True))
    if able is None or sum((a.stop - a.start) * (b.stop - b.start) for a, b in boxes) not in range(1, height * width):
        yield operator, slice(0, height), slice(0, width), lamps
        return
    for number, (rows, columns) in enumerate(boxes, 1):
        yield able.resized(parameters), rows, columns, lamps[..., rows, columns] * (labels[rows, columns] == number)


def _light(operator: ParametricOperator, parameters: Mapping[str, Tensor], unexplained: Tensor, seen: Seen) -> Tensor:
    """e, (1, C, H, W); unexplained: y - A(x)."""
    shape = operator.image_shape(tuple(unexplained.shape[1:]))
    around = [(side - own) // 2 for side, own in zip(shape[1:], unexplained.shape[2:], strict=True)]
    frame = (..., slice(around[0], shape[1] - around[0]), slice(around[1], shape[2] - around[1]))

    def spread(light: Tensor) -> Tensor:
        return operator.forward(F.pad(light, (around[1],) * 2 + (around[0],) * 2), **parameters)

    def back(residual: Tensor) -> Tensor:
        with torch.enable_grad():
            start = residual.new_zeros(1, *shape).requires_grad_()
            (found,) = torch.autograd.grad(operator.forward(start, **parameters), start, residual)
        return found[frame]

    with torch.no_grad():
        shares = back(seen.lamps.expand_as(seen.values)), back(torch.ones_like(seen.values))
        places = (shares[0] >= _UNSEEN * shares[1]).to(seen.values)
        # The largest eigenvalue of a matrix without negative entries is at most its largest sum of a row.
        steepest = _SLACK * (places * back(seen.counted * spread(places))).amax().clamp(min=1e-6)
        light = moved = torch.zeros_like(places)
        pace, before = 1.0, torch.tensor(torch.inf)
        for _ in range(_ITERATIONS):
            rest = unexplained - spread(moved)
            rest = seen.counted * torch.where(seen.clipped, rest.clamp(min=0), rest)
            misfit = rest.square().sum().cpu()
            if misfit > _STALLED * before:
                break
            before = misfit
            following = (places * (moved + back(rest) / steepest)).clamp(min=0)
            faster = (1 + (1 + 4 * pace**2) ** 0.5) / 2
            change = following - light
            moved, light, pace = following + (pace - 1) / faster * change, following, faster
    return light
