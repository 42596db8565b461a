"""Overlapping tiles of a large picture: solved one by one from known parameters, then joined.

A solve of a picture of many megapixels does not fit into memory. A tile is a measurement of its own. Nothing is known
around it, so its image is less certain at its edge, as far as the parameters reach; there the neighbouring tile is
used alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import torch
from torch import Tensor

from ipt.core.abilities import Framed, ability
from ipt.core.operator import ParametricOperator
from ipt.core.solver import Solution
from ipt.linalg.random import image_seed
from ipt.sampling import regional
from ipt.solve.task import SamplingTask

SIDE = 1152
"""The most pixels of a tile's side with its margins, which bounds the memory; smaller pictures are one tile."""
_RAMP = 32
"""Pixels over which one tile is blended into the next."""
_STEP, _LARGEST_PRIME = 16, 7
"""Sides of a tile are multiples of `_STEP` pixels, as networks need, and have no prime factor above `_LARGEST_PRIME`:
per pixel, Fourier transforms of 1088 = 17 x 64 pixels take twice as long as those of 1152, those of 1149 five times."""


@dataclass(frozen=True)
class Spans:
    """The fewest spans of one length that cover a side of a picture and overlap by the margins and the ramp.

    Attributes:
        length: pixels of the picture's side.
        margin: pixels by which the image is longer than the measurement at each end.
        most: the most pixels of a span with its margins.
    """

    length: int
    margin: int
    most: int

    def __iter__(self) -> Iterator[slice]:
        around, overlap = 2 * self.margin, 2 * self.margin + _RAMP
        most = max(self.most - around, 2 * overlap)
        count = max(1, _ceil_div(self.length - overlap, most - overlap))
        side = self.length
        if count > 1:
            least = _ceil_div(self.length + (count - 1) * overlap, count)
            side = min(self.length, _fast_length(least + around) - around)
        for number in range(count):
            start = round(number * (self.length - side) / max(1, count - 1))
            yield slice(start, start + side)

    def in_image(self, span: slice) -> slice:
        """The pixels of the image for a span of the measurement, margins included."""
        return slice(span.start, span.stop + 2 * self.margin)

    def weight(self, span: slice) -> Tensor:
        """The blending weights of a span's image in 0..1, 0 at edges towards a neighbour."""
        place = torch.arange(span.stop - span.start + 2 * self.margin)
        rising, even = (place - 2 * self.margin) / _RAMP, torch.ones(len(place))
        before = rising if span.start else even
        after = rising.flip(0) if span.stop < self.length else even
        return torch.minimum(before, after).clamp(0, 1)


@dataclass(frozen=True)
class Tiling:
    """The tiles of a picture.

    Attributes:
        rows: the spans along its height.
        columns: the spans along its width.
    """

    rows: Spans
    columns: Spans

    @classmethod
    def of(cls, operator: ParametricOperator, shape: tuple[int, ...], side: int) -> Tiling:
        """The tiling of a measurement.

        Args:
            operator: for parameters of the sizes that the tiles are solved with.
            shape: (C, H, W) of the measurement.
            side: the most pixels of a tile's side with its margins.
        """
        framed, (height, width), image = ability(operator, Framed), shape[-2:], operator.image_shape(shape)
        rows, columns = (slice(0, 0), slice(0, 0)) if framed is None else framed.frame(image)
        if image[-2:] != (height + 2 * rows.start, width + 2 * columns.start):
            # The image's pixels are not those of the measurement, so that it cannot be cut.
            side = max(image[-2:])
        return cls(Spans(height, rows.start, side), Spans(width, columns.start, side))

    def __iter__(self) -> Iterator[tuple[slice, slice]]:
        return product(self.rows, self.columns)

    def tasks(self, task: SamplingTask) -> list[SamplingTask]:
        """The tiles of a task as tasks, each with random numbers of its own."""
        places = list(self)
        if len(places) == 1:
            return [replace(task, region=None, half=False, reserve=(), begun=True)]
        found = []
        for number, place in enumerate(places):
            tile, seeds = task.within(*place), tuple(image_seed(seed, f"tile {number}") for seed in task.seeds)
            if tile.mask is not None and not bool(tile.mask.any()):
                # A fully masked tile cannot be solved: its values are the best guess.
                tile = replace(tile, mask=torch.ones_like(tile.mask))
            found.append(replace(tile, reserve=(), seeds=seeds, begun=True))
        return found

    def joined(self, solutions: Sequence[Solution]) -> Solution:
        """Join the tiles' solutions, in their order: images are blended, parameters averaged."""
        if len(solutions) == 1:
            return solutions[0]
        first, sides = solutions[0], (self.rows, self.columns)
        whole = first.whole.new_zeros(*first.whole.shape[:2], *(one.length + 2 * one.margin for one in sides))
        total = whole.new_zeros(whole.shape[-2:])
        for (rows, columns), solution in zip(self, solutions, strict=True):
            place = self.rows.in_image(rows), self.columns.in_image(columns)
            weight = (self.rows.weight(rows)[:, None] * self.columns.weight(columns)).to(whole)
            whole[(..., *place)] += weight * solution.whole
            total[place] += weight
        whole /= total
        rows, columns = (slice(one.margin, one.margin + one.length) for one in sides)
        return replace(
            first,
            image=whole[..., rows, columns],
            whole=whole,
            parameters={
                name: torch.stack([each.parameters[name] for each in solutions]).mean(0) for name in first.parameters
            },
            residual=_root_mean([each.residual for each in solutions]),
            trace=_root_mean([each.trace for each in solutions]),
            sizes=[(self.rows.length, self.columns.length, first.sizes[-1][2])],
            calls={name: sum(each.calls[name] for each in solutions) for name in first.calls},
        )


def tiling_of(task: SamplingTask) -> Tiling:
    """The tiles of a picture: a single one if its parameters differ from place to place."""
    operator = task.solver.operator
    if task.region is not None:
        operator = regional.operator_of(task.solver, task.of_region().shape, task.shape)
    whole = ability(operator, regional.Regional) is not None
    return Tiling.of(operator, task.shape, max(operator.image_shape(task.shape)[1:]) if whole else SIDE)


def _ceil_div(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)


def _fast_length(length: int) -> int:
    """The next length that networks accept and that has small prime factors only."""
    found = _ceil_div(length, _STEP) * _STEP
    while _largest_prime(found) > _LARGEST_PRIME:
        found += _STEP
    return found


def _largest_prime(number: int) -> int:
    prime = 2
    while prime * prime <= number:
        if number % prime:
            prime += 1
        else:
            number //= prime
    return number


def _root_mean(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(values)).square().mean(0).sqrt()
