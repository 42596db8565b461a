"""Lamps: light that the camera clipped, added to the result once the parameters are known.

Clipped pixels, and those that their light is spread to, are masked out of a solve: no picture in 0..1 explains them,
and priors of pictures know nothing brighter. The solve fills them in from their surroundings. Here light e is added
to the solved image x at the masked places until it explains the measurement y, which at a clipped pixel is a lower
bound:

    minimise over e >= 0  sum over unclipped (y - A(x + e))^2 + sum over clipped max(0, y - A(x + e))^2

A is linear in the image. The rest of the picture is not changed.

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
"""A place may be a lamp if at least this share of its light falls on masked pixels."""
_STALLED = 0.98
"""Iterations end when the misfit is more than this share of the one before: the rest is no light of lamps, and fitting
it would add noise where exposures disagree."""
_SLACK = 1.2
"""Factor on the Lipschitz bound, which assumes weights that are not negative; those of an interpolation may be."""


def with_lamps(prepared: PreparedImage, solution: Solution) -> Solution:
    """Add the light of clipped lamps to a solution.

    Args:
        prepared: says what was clipped.
        solution: of `prepared.sampling`; it is returned unchanged where nothing was clipped, the operator is not
            linear, or the image's pixels are not those of the measurement.
    """
    sampling, lamps = prepared.sampling, prepared.lamps
    operator = sampling.operator_of(solution)
    framed = ability(operator, Framed)
    if lamps is None or sampling.mask is None or ability(operator, Linear) is None:
        return solution
    rows, columns = (slice(0, side) for side in solution.whole.shape[2:])
    if framed is not None:
        rows, columns = framed.frame(tuple(solution.whole.shape[1:]))
    if (rows.stop - rows.start, columns.stop - columns.start) != tuple(lamps.shape[2:]):
        return solution
    level = prepared.task.clipped
    values = encoded(sampling.measurement) if prepared.linear else sampling.measurement
    seen = Seen(
        sampling.measurement,
        ((lamps > 0) | (sampling.mask > 0)).to(values),
        values >= (level if isinstance(level, float) else CLIPPED_FROM),
        lamps.to(values),
    )
    draws = []
    for number, image in enumerate(solution.whole):
        parameters = {name: value[number : number + 1] for name, value in solution.parameters.items()}
        draws.append(lit(operator, image[None], parameters, seen))
    whole = torch.cat(draws)
    return replace(solution, whole=whole, image=whole[..., rows, columns])


@dataclass(frozen=True)
class Seen:
    """The measurement of a picture with lamps.

    Attributes:
        values: (1, C, H, W), clipped ones included.
        counted: 1 where a value counts, (1, 1 or C, H, W).
        clipped: True where a value is clipped, (1, C, H, W).
        lamps: 1 where the solve masked a value because of clipping, (1, 1 or C, H, W).
    """

    values: Tensor
    counted: Tensor
    clipped: Tensor
    lamps: Tensor

    def within(self, rows: slice, columns: slice, lamps: Tensor) -> Seen:
        """The part in some rows and columns, with those of its lamps that are passed."""
        place = (..., rows, columns)
        return Seen(self.values[place], self.counted[place], self.clipped[place], lamps)


def lit(operator: ParametricOperator, image: Tensor, parameters: Mapping[str, Tensor], seen: Seen) -> Tensor:
    """The image with the light of its lamps, (1, C, H, W), clipped to 1 where light is added.

    Args:
        operator: linear in the image.
        image: without lamps, (1, C, H, W) in 0..1; the measurement's frame is in its middle.
        parameters: all of the operator's, valid.
        seen: the measurement.
    """
    found = image.clone()
    with torch.no_grad():
        unexplained = seen.values - operator.forward(image, **parameters)
    down, across = ((image.shape[dim] - seen.lamps.shape[dim]) // 2 for dim in (2, 3))
    frame = found[..., down : image.shape[2] - down, across : image.shape[3] - across]
    for part, rows, columns, lamps in _parts(operator, image, parameters, seen.lamps):
        pixels = frame[..., rows, columns]
        light = _light(part, parameters, unexplained[..., rows, columns], seen.within(rows, columns, lamps))
        pixels.copy_(torch.where(light > 0, (pixels + light).clamp(max=1), pixels))
    return found


def _parts(
    operator: ParametricOperator, image: Tensor, parameters: Mapping[str, Tensor], lamps: Tensor
) -> Iterator[tuple[ParametricOperator, slice, slice, Tensor]]:
    """Split the measurement into parts with lamps that do not interact; one part of everything if that saves nothing.

    Yields:
        The operator for a part, its rows and columns, and its lamps. A part holds all that its lamps' light reaches.
    """
    height, width = lamps.shape[2:]
    margin, resizable = (image.shape[2] - height) // 2, ability(operator, Resizable)
    boxes = []
    # Parameters that are the same all over the frame reach no further than the margin.
    is_uniform = all(max(value.shape[2:]) <= 2 * margin + 1 for value in parameters.values())
    if is_uniform and resizable is not None and ability(operator, Regional) is None:
        reached = ndimage.maximum_filter((lamps[0] > 0).any(0).numpy(force=True), 2 * margin + 1)
        labels = torch.from_numpy(ndimage.label(reached)[0]).to(lamps.device)
        boxes = ndimage.find_objects(labels.numpy(force=True))
    area = sum((rows.stop - rows.start) * (columns.stop - columns.start) for rows, columns in boxes)
    if resizable is None or not 1 <= area < height * width:
        yield operator, slice(0, height), slice(0, width), lamps
        return
    for number, (rows, columns) in enumerate(boxes, 1):
        own = lamps[..., rows, columns] * (labels[rows, columns] == number)
        yield resizable.resized(parameters), rows, columns, own


def _light(operator: ParametricOperator, parameters: Mapping[str, Tensor], unexplained: Tensor, seen: Seen) -> Tensor:
    """The light e, (1, C, H, W), by FISTA with the steps t_k of Beck and Teboulle; unexplained: y - A(x)."""
    shape = operator.image_shape(tuple(unexplained.shape[1:]))
    down, across = ((side - own) // 2 for side, own in zip(shape[1:], unexplained.shape[2:], strict=True))
    frame = (..., slice(down, shape[1] - down), slice(across, shape[2] - across))

    def forward(light: Tensor) -> Tensor:
        return operator.forward(F.pad(light, (across, across, down, down)), **parameters)

    def adjoint(residual: Tensor) -> Tensor:
        with torch.enable_grad():
            start = residual.new_zeros(1, *shape).requires_grad_()
            (found,) = torch.autograd.grad(operator.forward(start, **parameters), start, residual)
        return found[frame]

    with torch.no_grad():
        on_lamps, anywhere = adjoint(seen.lamps.expand_as(seen.values)), adjoint(torch.ones_like(seen.values))
        allowed = (on_lamps >= _UNSEEN * anywhere).to(seen.values)
        # The largest eigenvalue of a matrix without negative entries is at most its largest row sum.
        lipschitz = _SLACK * (allowed * adjoint(seen.counted * forward(allowed))).amax().clamp(min=1e-6)
        light = extrapolated = torch.zeros_like(allowed)
        t, misfit_before = 1.0, torch.tensor(torch.inf)
        for _ in range(_ITERATIONS):
            residual = unexplained - forward(extrapolated)
            residual = seen.counted * torch.where(seen.clipped, residual.clamp(min=0), residual)
            misfit = residual.square().sum().cpu()
            if misfit > _STALLED * misfit_before:
                break
            misfit_before = misfit
            light_next = (allowed * (extrapolated + adjoint(residual) / lipschitz)).clamp(min=0)
            t_next = (1 + (1 + 4 * t**2) ** 0.5) / 2
            change = light_next - light
            extrapolated, light, t = light_next + (t - 1) / t_next * change, light_next, t_next
    return light
