"""A large picture in overlapping tiles, each solved from what was found in a region, and joined.

A picture of many megapixels does not fit into memory with all that its solve needs. A tile is a measurement of its own.
Nothing is known around it, so that its rim, as far as the parameters reach, says less than its neighbour's middle:
there the neighbour counts alone.
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
from ipt.solve.task import SamplingTask

SIDE = 1152
"""Pixels of a tile with its margins, at most, by which memory is bounded; smaller pictures are one tile."""
_RAMP = 32
"""Pixels over which one tile passes into the next."""
_STEP, _LARGEST_PRIME = 16, 7
"""Sides of a tile are multiples of so many pixels, as networks take them, and of no larger prime: Fourier transforms of
1088 = 17 x 64 pixels take twice as long a pixel as those of 1152, those of 1149 five times."""


@dataclass(frozen=True)
class Spans:
    """The fewest spans of one length that cover a side of a picture and overlap enough.

    Their length is one that is computed with quickly.

    Attributes:
        length: pixels of the side.
        margin: pixels that the image is longer at each end.
        most: pixels of a span with its margins.
    """

    length: int
    margin: int
    most: int

    def __iter__(self) -> Iterator[slice]:
        around, overlap = 2 * self.margin, 2 * self.margin + _RAMP
        most = max(self.most - around, 2 * overlap)
        count = max(1, -(-(self.length - overlap) // (most - overlap)))
        side = (
            self.length if count == 1 else _fast(-(-(self.length + (count - 1) * overlap) // count) + around) - around
        )
        side = min(self.length, side)
        for number in range(count):
            start = round(number * (self.length - side) / max(1, count - 1))
            yield slice(start, start + side)

    def in_image(self, span: slice) -> slice:
        """Where the image of a span is, with its margins."""
        return slice(span.start, span.stop + 2 * self.margin)

    def weight(self, span: slice) -> Tensor:
        """How much the image of a span counts: not at all where its rim is, if there is a neighbour."""
        place = torch.arange(span.stop - span.start + 2 * self.margin)
        rising, even = (place - 2 * self.margin) / _RAMP, torch.ones(len(place))
        before = rising if span.start else even
        after = rising.flip(0) if span.stop < self.length else even
        return torch.minimum(before, after).clamp(0, 1)


@dataclass(frozen=True)
class Tiling:
    """The tiles of a picture. rows, columns: their places along its sides."""

    rows: Spans
    columns: Spans

    @classmethod
    def of(cls, operator: ParametricOperator, shape: tuple[int, ...], side: int) -> Tiling:
        """Of a measurement (C, H, W) by an operator with parameters of the sizes that they were found in.

        side: pixels of a tile with its margins, at most.
        """
        framed, (height, width), image = ability(operator, Framed), shape[-2:], operator.image_shape(shape)
        rows, columns = (slice(0, 0), slice(0, 0)) if framed is None else framed.frame(image)
        if image[-2:] != (height + 2 * rows.start, width + 2 * columns.start):
            # Of other pixels than the measurement's.
            side = max(image[-2:])
        return cls(Spans(height, rows.start, side), Spans(width, columns.start, side))

    def __iter__(self) -> Iterator[tuple[slice, slice]]:
        return product(self.rows, self.columns)

    def tasks(self, task: SamplingTask) -> list[SamplingTask]:
        """The tiles of a task as tasks, each with random numbers of its own."""
        places = list(self)
        if len(places) == 1:
            return [replace(task, region=None, reserve=(), begun=True)]
        found = []
        for number, place in enumerate(places):
            tile, seeds = task.within(*place), tuple(image_seed(seed, f"tile {number}") for seed in task.seeds)
            if tile.mask is not None and not bool(tile.mask.any()):
                # Nothing else is known of it.
                tile = replace(tile, mask=torch.ones_like(tile.mask))
            found.append(replace(tile, reserve=(), seeds=seeds, begun=True))
        return found

    def joined(self, solutions: Sequence[Solution]) -> Solution:
        """The tiles' solutions as one: images pass into each other, parameters are their means."""
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


def _fast(length: int) -> int:
    """The next length that networks and transforms take fast."""
    found = -(-length // _STEP) * _STEP
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
