"""Warping pictures by a tilt field: each pixel shows the picture a little way off.

    (W_u x)(p) = x(p + u(p)),   p = (row, column)

A tilt u (B, 2, H, W) is in pixels, channel 0 vertical and channel 1 horizontal. A positive vertical tilt fetches what
lies below, so what is seen moves up; a positive horizontal tilt fetches what lies to the right, so it moves left.

W_u is linear in the picture, and each pixel is a weighted sum of 4 (bilinear) or 16 (bicubic) pixels about p + u(p):
x, the adjoint and the derivative in u are gathered and scattered with the same places and weights. Bicubic is Keys'
kernel with a = -1/2, whose derivative is continuous; that of bilinear jumps wherever a tilt is a whole number, as in
the field of zeros (Keys, "Cubic convolution interpolation for digital image processing", IEEE Transactions on
Acoustics, Speech, and Signal Processing 29, 1981).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ipt.core.errors import IptError
from ipt.linalg.parts import in_parts

INTERPOLATIONS = ("bicubic", "bilinear")


def warp(image: Tensor, tilt: Tensor, interpolation: str = "bicubic", border: str = "unknown") -> Tensor:
    """The picture warped, (B, C, H, W); differentiable, twice, in picture and tilt.

    Args:
        image: (B, C, H, W).
        tilt: in pixels, (B, 2, H, W).
        interpolation: bicubic or bilinear.
        border: how the picture goes on outside its frame, however far a tilt reaches: circular, zero, reflect,
            replicate or unknown (which must assume something, and takes the reflection).

    Raises:
        IptError: the sizes differ.
    """
    _check(image, tilt)

    def fetched(rows: slice) -> Tensor:
        flat = image[rows].flatten(2)
        total = torch.zeros_like(flat)
        for index, down, right in _taps(tilt[rows], interpolation, border):
            total = total + (down[0] * right[0]) * flat.gather(2, index.expand_as(flat))
        return total.reshape(image[rows].shape)

    return in_parts(fetched, image.shape)


def warp_adjoint(residual: Tensor, tilt: Tensor, interpolation: str = "bicubic", border: str = "unknown") -> Tensor:
    """W_u' r, (B, C, H, W): <W_u x, r> = <x, W_u' r> for every x; differentiable in r and in the tilt."""
    _check(residual, tilt)

    def returned(rows: slice) -> Tensor:
        flat = residual[rows].flatten(2)
        total = torch.zeros_like(flat)
        for index, down, right in _taps(tilt[rows], interpolation, border):
            total = total.scatter_add(2, index.expand_as(flat), (down[0] * right[0]) * flat)
        return total.reshape(residual[rows].shape)

    return in_parts(returned, residual.shape)


def warp_gradient(image: Tensor, tilt: Tensor, interpolation: str = "bicubic", border: str = "unknown") -> Tensor:
    """The derivative of the warped picture's pixel p in u(p), vertical then horizontal, (B, C, 2, H, W)."""
    _check(image, tilt)

    def slopes(rows: slice) -> Tensor:
        flat = image[rows].flatten(2)
        vertical, horizontal = torch.zeros_like(flat), torch.zeros_like(flat)
        for index, down, right in _taps(tilt[rows], interpolation, border):
            fetched = flat.gather(2, index.expand_as(flat))
            vertical = vertical + (down[1] * right[0]) * fetched
            horizontal = horizontal + (down[0] * right[1]) * fetched
        return torch.stack([vertical, horizontal], 2).reshape(*flat.shape[:2], 2, *image.shape[2:])

    return in_parts(slopes, image.shape)


_Weight = tuple[Tensor, Tensor]
"""A weight and its derivative, (B, 1, H W) each."""


def _taps(tilt: Tensor, interpolation: str, border: str) -> Iterator[tuple[Tensor, _Weight, _Weight]]:
    """What each pixel is made of, one neighbour at a time.

    Its index in the flat picture (B, 1, H W), and the weights along the rows and along the columns.
    """
    if interpolation not in INTERPOLATIONS:
        raise IptError(f"interpolation is one of {', '.join(INTERPOLATIONS)}, not {interpolation!r}")
    if border not in _INSIDE:
        raise IptError(f"a border is one of {', '.join(_INSIDE)}, not {border!r}")
    height, width = tilt.shape[-2:]
    rows = torch.arange(height, device=tilt.device)[:, None].expand(height, width)
    columns = torch.arange(width, device=tilt.device).expand(height, width)
    down = list(_along(rows, tilt[:, :1], height, interpolation, border))
    right = list(_along(columns, tilt[:, 1:], width, interpolation, border))
    for row, down_weight in down:
        for column, right_weight in right:
            yield row * width + column, down_weight, right_weight


def _along(
    place: Tensor, tilt: Tensor, length: int, interpolation: str, border: str
) -> Iterator[tuple[Tensor, _Weight]]:
    """Indices and weights of the neighbours, along one axis, of the places (H, W) moved by (B, 1, H, W)."""
    whole = tilt.detach().floor()
    first, part = (place + whole.long()).flatten(2), (tilt - whole).flatten(2)
    kernel, reach = (_bicubic, 2) if interpolation == "bicubic" else (_bilinear, 1)
    for step in range(1 - reach, reach + 1):
        weight, slope = kernel(part - step)
        index = first + step
        if border == "zero":
            inside = ((index >= 0) & (index < length)).to(tilt.dtype)
            weight, slope = weight * inside, slope * inside
        yield _INSIDE[border](index, length), (weight, slope)


def _bilinear(distance: Tensor) -> _Weight:
    """1 - |t| and its derivative, on the right at whole numbers."""
    ahead = distance.detach() < 0
    return torch.where(ahead, 1 + distance, 1 - distance), torch.where(ahead, 1.0, -1.0).to(distance.dtype)


def _bicubic(distance: Tensor) -> _Weight:
    t, sign = distance.abs(), distance.detach().sign()
    near = t.detach() <= 1
    weight = torch.where(near, (1.5 * t - 2.5) * t * t + 1, ((-0.5 * t + 2.5) * t - 4) * t + 2)
    slope = torch.where(near, (4.5 * t - 5) * t, (-1.5 * t + 5) * t - 4)
    return weight, sign * slope


def _reflected(index: Tensor, length: int) -> Tensor:
    folded = index.remainder(max(1, 2 * (length - 1)))
    return torch.minimum(folded, (2 * (length - 1) - folded).abs())


def _clamped(index: Tensor, length: int) -> Tensor:
    return index.clamp(0, length - 1)


_INSIDE: dict[str, Callable[[Tensor, int], Tensor]] = {
    "circular": lambda index, length: index.remainder(length),
    "zero": _clamped,
    "replicate": _clamped,
    "reflect": _reflected,
    "unknown": _reflected,
}


def _check(image: Tensor, tilt: Tensor) -> None:
    wanted = (len(image), 2, *image.shape[-2:])
    if tilt.shape != wanted:
        raise IptError(
            f"a tilt is {wanted}, vertical and horizontal in pixels, for pictures of {tuple(image.shape)}; "
            f"this one is {tuple(tilt.shape)}"
        )
