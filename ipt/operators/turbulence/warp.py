"""Warping pictures by a tilt field: each pixel shows the picture at a displaced point.

    (W_u x)(p) = x(p + u(p)),   p = (row, column)

A tilt u (B, 2, H, W) is in pixels, channel 0 vertical and channel 1 horizontal. A positive vertical tilt fetches what
lies below, so the picture moves up; a positive horizontal tilt fetches what lies to the right, so it moves left.

W_u is linear in the picture: each pixel is a weighted sum of 4 (bilinear) or 16 (bicubic) pixels about p + u(p). W_u,
its adjoint and its derivative in u gather from and scatter to the same neighbours with the same weights. The picture is
first extended as far as they reach. Then the neighbours of every pixel have the same offsets from its first neighbour.

Bicubic interpolation uses Keys' kernel with a = -1/2, which has a continuous derivative. The derivative of bilinear
interpolation jumps where a tilt is a whole number, as in a field of zeros (Keys, "Cubic convolution interpolation for
digital image processing", IEEE Transactions on Acoustics, Speech, and Signal Processing 29, 1981).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ipt.core.errors import IptError
from ipt.linalg.chunks import in_chunks

INTERPOLATIONS = ("bicubic", "bilinear")
_TAPS = {"bicubic": 4, "bilinear": 2}
"""Number of neighbours along an axis."""


def warp(image: Tensor, tilt: Tensor, interpolation: str = "bicubic", border: str = "unknown") -> Tensor:
    """W_u x, (B, C, H, W); twice differentiable in picture and tilt.

    Args:
        image: x, (B, C, H, W).
        tilt: u in pixels, (B, 2, H, W), of any size.
        interpolation: bicubic or bilinear.
        border: how the picture is extended: circular, zero, reflect, replicate, or unknown, which here is reflect.

    Raises:
        IptError: the sizes of picture and tilt differ, or there is no such interpolation or border.
    """
    _check(image, tilt)

    def fetched(rows: slice) -> Tensor:
        places = _Neighbours.of(tilt[rows], interpolation, border)
        across = places.right.weights()
        lines = (_weighted_sum(across, line) for line in places.gathered(image[rows]))
        return _weighted_sum(places.down.weights(), lines).reshape(image[rows].shape)

    return in_chunks(fetched, image.shape)


def warp_adjoint(residual: Tensor, tilt: Tensor, interpolation: str = "bicubic", border: str = "unknown") -> Tensor:
    """W_u' r, (B, C, H, W): <W_u x, r> = <x, W_u' r> for every x; differentiable in r and in the tilt."""
    _check(residual, tilt)

    def returned(rows: slice) -> Tensor:
        places, flat = _Neighbours.of(tilt[rows], interpolation, border), residual[rows].flatten(2)
        wide = flat.new_zeros(*flat.shape[:2], places.down.length * places.right.length)
        across = places.right.weights()
        for row, weight in enumerate(places.down.weights()):
            line = weight * flat
            for column, one in enumerate(across):
                places.shifted(wide, row, column).scatter_add_(2, places.first.expand_as(flat), one * line)
        return places.folded(wide)

    return in_chunks(returned, residual.shape)


def warp_gradient(image: Tensor, tilt: Tensor, interpolation: str = "bicubic", border: str = "unknown") -> Tensor:
    """The derivative of pixel p of the warped picture in u(p), vertical then horizontal, (B, C, 2, H, W)."""
    _check(image, tilt)

    def gradient(rows: slice) -> Tensor:
        places = _Neighbours.of(tilt[rows], interpolation, border)
        weights, slopes = places.right.weights(), places.right.slopes()
        lines = [(_weighted_sum(weights, line), _weighted_sum(slopes, line)) for line in places.gathered(image[rows])]
        vertical = _weighted_sum(places.down.slopes(), (value for value, _ in lines))
        horizontal = _weighted_sum(places.down.weights(), (slope for _, slope in lines))
        return torch.stack([vertical, horizontal], 2).reshape(*vertical.shape[:2], 2, *image.shape[2:])

    return in_chunks(gradient, image.shape)


def _weighted_sum(weights: Iterable[Tensor], values: Iterable[Tensor]) -> Tensor:
    (weight, value), *others = zip(weights, values, strict=True)
    total = weight * value
    for weight, value in others:
        total = torch.addcmul(total, weight, value)
    return total


@dataclass(frozen=True)
class _Axis:
    """The neighbours along one axis, on a line that extends the frame as far as they reach.

    Attributes:
        sources: for each place of the line, the place in the frame whose value it has, (length,).
        inside: 0 for places of the line that are 0 instead, else 1, (length,); None: 1 everywhere.
        first: for each pixel, the place of its first neighbour on the line, (B, H, W).
        fraction: fractional part of the tilt, (B, 1, H W), 0..1.
        interpolation: bicubic or bilinear.
    """

    sources: Tensor
    inside: Tensor | None
    first: Tensor
    fraction: Tensor
    interpolation: str

    @classmethod
    def of(cls, places: Tensor, tilt: Tensor, length: int, interpolation: str, border: str) -> _Axis:
        """The neighbours of places (H, W) on a frame's axis of this length, moved by tilts (B, H, W)."""
        whole = tilt.detach().floor()
        taps = _TAPS[interpolation]
        first = places + whole.long() - (taps // 2 - 1)
        if int(first.min()) < -length or int(first.max()) >= 2 * length:
            first = _equivalent(first, length, border)
        start = int(first.min())
        line = torch.arange(start, int(first.max()) + taps, device=tilt.device)
        inside = ((line >= 0) & (line < length)).to(tilt.dtype) if border == "zero" else None
        fraction = (tilt - whole).flatten(1)[:, None]
        return cls(_EXTENSIONS[border](line, length), inside, first - start, fraction, interpolation)

    @property
    def length(self) -> int:
        """Length of the line."""
        return len(self.sources)

    def weights(self) -> tuple[Tensor, ...]:
        """Weights of the neighbours in their order, (B, 1, H W) each."""
        t = self.fraction
        if self.interpolation != INTERPOLATIONS[0]:
            return 1 - t, t
        return (
            ((1 - 0.5 * t) * t - 0.5) * t,
            (1.5 * t - 2.5) * t * t + 1,
            ((2 - 1.5 * t) * t + 0.5) * t,
            (0.5 * t - 0.5) * t * t,
        )

    def slopes(self) -> tuple[Tensor, ...]:
        """Derivatives of `weights` in the tilt; from the right where they jump."""
        t = self.fraction
        if self.interpolation != INTERPOLATIONS[0]:
            return -torch.ones_like(t), torch.ones_like(t)
        return (2 - 1.5 * t) * t - 0.5, (4.5 * t - 5) * t, (4 - 4.5 * t) * t + 0.5, (1.5 * t - 1) * t


@dataclass(frozen=True)
class _Neighbours:
    """The neighbours of every pixel in a picture that is extended as far as they reach.

    Attributes:
        down: vertical axis.
        right: horizontal axis.
        frame: (height, width) of the picture.
        first: index of each pixel's first neighbour in the flat extended picture, (B, 1, H W).
    """

    down: _Axis
    right: _Axis
    frame: tuple[int, int]
    first: Tensor

    @classmethod
    def of(cls, tilt: Tensor, interpolation: str, border: str) -> _Neighbours:
        """The neighbours for tilts (B, 2, H, W)."""
        if interpolation not in INTERPOLATIONS:
            raise IptError(f"interpolation is one of {', '.join(INTERPOLATIONS)}, not {interpolation!r}")
        if border not in _EXTENSIONS:
            raise IptError(f"a border is one of {', '.join(_EXTENSIONS)}, not {border!r}")
        height, width = tilt.shape[-2:]
        rows, columns = (torch.arange(side, device=tilt.device) for side in (height, width))
        down = _Axis.of(rows[:, None], tilt[:, 0], height, interpolation, border)
        right = _Axis.of(columns, tilt[:, 1], width, interpolation, border)
        return cls(down, right, (height, width), (down.first * right.length + right.first).flatten(1)[:, None])

    def shifted(self, wide: Tensor, row: int, column: int) -> Tensor:
        """The extended picture (B, C, pixels) from where on `first` is the index of the given neighbour."""
        start = row * self.right.length + column
        return wide[..., start:]

    def gathered(self, image: Tensor) -> Iterator[list[Tensor]]:
        """The neighbours' values for all pixels, (B, C, H W) each, one row of neighbours after the other."""
        wide, taps = image, range(_TAPS[self.right.interpolation])
        for axis, dim in ((self.down, -2), (self.right, -1)):
            wide = wide.index_select(dim, axis.sources)
            if axis.inside is not None:
                wide = wide * (axis.inside if dim == -1 else axis.inside[:, None])
        wide, index = wide.flatten(2), self.first.expand(-1, image.shape[1], -1)
        for row in taps:
            yield [self.shifted(wide, row, column).gather(2, index) for column in taps]

    def folded(self, wide: Tensor) -> Tensor:
        """The adjoint of the extension, (B, C, pixels) -> (B, C, H, W)."""
        picture: Tensor = wide.unflatten(2, (self.down.length, self.right.length))
        for axis, dim, side in ((self.down, -2, self.frame[0]), (self.right, -1, self.frame[1])):
            if axis.inside is not None:
                picture = picture * (axis.inside if dim == -1 else axis.inside[:, None])
            shape = [*picture.shape]
            shape[dim] = side
            picture = picture.new_zeros(shape).index_add(dim, axis.sources, picture)
        return picture


def _equivalent(first: Tensor, length: int, border: str) -> Tensor:
    """First neighbours within two lengths of the frame's start that have the same values as these far ones."""
    if border in ("zero", "replicate"):
        return first.clamp(-max(_TAPS.values()), length)
    return torch.remainder(first, length if border == "circular" else max(1, 2 * (length - 1)))


def _reflected(index: Tensor, length: int) -> Tensor:
    folded = index.remainder(max(1, 2 * (length - 1)))
    return torch.minimum(folded, (2 * (length - 1) - folded).abs())


def _clamped(index: Tensor, length: int) -> Tensor:
    return index.clamp(0, length - 1)


def _circular(index: Tensor, length: int) -> Tensor:
    return index.remainder(length)


_EXTENSIONS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "circular": _circular,
    "zero": _clamped,
    "replicate": _clamped,
    "reflect": _reflected,
    "unknown": _reflected,
}
"""For each border, the map from places on the extended line to places in the frame."""


def _check(image: Tensor, tilt: Tensor) -> None:
    wanted = (len(image), 2, *image.shape[-2:])
    if tilt.shape != wanted:
        raise IptError(
            f"a tilt is {wanted}, vertical and horizontal in pixels, for pictures of {tuple(image.shape)}; "
            f"this one is {tuple(tilt.shape)}"
        )
