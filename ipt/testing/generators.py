"""The contract of a generator: its promises, and the harness that they are tested on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import torch
from torch import Tensor

from ipt.core.operator import Generator
from ipt.testing.harness import COMMON, first_taken, pickled
from ipt.testing.measures import difference, finite, global_generators_untouched
from ipt.testing.promises import Check, Promise, at_most, require

SHAPES = (
    *((1, 16, 17), (2, 16, 17), (3, 16, 17), (1, 1, 1), (3, 1, 1)),
    *((1, 64, 64), (2, 64, 64), (3, 64, 64), (1, 1, 64), (1, 64, 1)),
)
"""Shapes that are tried in this order if none is given; the first one that the generator takes is used."""
SEEDS = (11, 7, 2**62 + 5, 0)
ROUNDING = 1e-5
"""Largest relative difference of two draws that count as equal."""


def generator_checks(generator: Generator, *, shape: tuple[int, ...] | None = None) -> list[Check]:
    """The checks of a generator, one per promise, to be called without arguments.

    Args:
        generator: that is checked.
        shape: (C, H, W) of a draw; None: the first of `SHAPES` that the generator takes.
    """
    harness = GeneratorHarness(generator, shape)
    return [Check(promise, harness, type(generator).__name__) for promise in PROMISES]


@dataclass(frozen=True)
class GeneratorHarness:
    """A generator with the shape of its draws; given: the shape, or None."""

    component: Generator
    given: tuple[int, ...] | None

    @cached_property
    def shape(self) -> tuple[int, ...]:
        return self.given or first_taken(lambda shape: self.component.sample(SEEDS, shape), SHAPES, "shape")

    def draw(self) -> Tensor:
        """One draw for each of `SEEDS`."""
        return self.component.sample(SEEDS, self.shape)


def _shapes(harness: GeneratorHarness) -> None:
    drawn, wanted = harness.draw(), (len(SEEDS), *harness.shape)
    require(isinstance(drawn, Tensor) and drawn.is_floating_point(), f"sample gives {type(drawn)}, not a real tensor")
    require(
        tuple(drawn.shape) == wanted, f"sample gives {tuple(drawn.shape)} for {len(SEEDS)} seeds of {harness.shape}"
    )
    finite({"the draw": drawn})


def _seeds(harness: GeneratorHarness) -> None:
    drawn = harness.draw()
    for index, seed in enumerate(SEEDS):
        alone = harness.component.sample([seed], harness.shape)
        what = f"difference between the draw of seed {seed} alone and among {len(SEEDS)}, of its largest value"
        at_most(difference(drawn[index : index + 1], alone), ROUNDING, what)


def _distinct(harness: GeneratorHarness) -> None:
    drawn = harness.draw()
    for one, other in combinations(range(len(SEEDS)), 2):
        equal = torch.equal(drawn[one], drawn[other])
        require(not equal, f"The draws of seeds {SEEDS[one]} and {SEEDS[other]} are the same")


def _picklable(harness: GeneratorHarness) -> None:
    found = difference(pickled(harness.component).sample(SEEDS, harness.shape), harness.draw())
    at_most(found, ROUNDING, "difference between a generator's draw and its pickled copy's, of its largest value")


def _random_state(harness: GeneratorHarness) -> None:
    shape = harness.shape
    with global_generators_untouched():
        first = harness.component.sample(SEEDS, shape)
    at_most(difference(harness.draw(), first), ROUNDING, "difference between two draws of the same seeds")


_COMMON = {promise.name: promise for promise in COMMON}
PROMISES = (
    Promise(
        "shapes",
        "`sample` gives a finite real tensor (len(seeds), *shape)",
        "stack one draw a seed, of the shape that is asked for, or raise a ValueError that says which shapes there are",
        _shapes,
        root=True,
    ),
    Promise(
        "seeds",
        "a draw depends on its own seed alone, not on the seeds beside it",
        "make a torch.Generator().manual_seed(seed) for each seed (ipt.operators.draws.uniform_and_normal does), and "
        "normalise each draw by itself",
        _seeds,
    ),
    Promise(
        "distinct",
        "different seeds give different draws",
        "use every seed that is given, up to 63 bits of it; what does not vary needs no generator",
        _distinct,
    ),
    Promise("picklable", _COMMON["picklable"].says, _COMMON["picklable"].fix, _picklable),
    Promise("random-state", _COMMON["random-state"].says, _COMMON["random-state"].fix, _random_state, root=True),
)
