"""Each promise of a generator: a fault planted in a good one breaks that promise, and no other unless named."""

from __future__ import annotations

import pytest
import torch

from ipt.core.operator import Generator
from ipt.testing import generator_checks
from ipt.testing.generators import PROMISES


class Fields(Generator):
    """A good one."""

    def sample(self, seeds, shape):
        return torch.stack([torch.rand(shape, generator=self.stream(seed)) for seed in seeds])

    def stream(self, seed):
        return torch.Generator().manual_seed(seed)


class Transposed(Fields):
    def sample(self, seeds, shape):
        return super().sample(seeds, shape).transpose(-1, -2)


class Whole(Fields):
    def sample(self, seeds, shape):
        return (1000 * super().sample(seeds, shape)).long()


class Infinite(Fields):
    def sample(self, seeds, shape):
        return super().sample(seeds, shape).log() / 0


class OneStream(Fields):
    def sample(self, seeds, shape):
        return torch.rand((len(seeds), *shape), generator=self.stream(sum(seeds)))


class NormalisedTogether(Fields):
    def sample(self, seeds, shape):
        drawn = super().sample(seeds, shape)
        return drawn / drawn.max()


class ManySeedsAsOne(Fields):
    def stream(self, seed):
        return torch.Generator().manual_seed(seed // 8)


class HoldsAStream(Fields):
    def __init__(self):
        self.held = (torch.rand(1) for _ in range(3))


class UsesTheGlobalGenerator(Fields):
    def sample(self, seeds, shape):
        torch.rand(1)
        return super().sample(seeds, shape)


class NeverTheSame(Fields):
    calls = 0

    def sample(self, seeds, shape):
        self.calls += 1
        return super().sample(seeds, shape) + self.calls


FAULTS = {
    Transposed: {"shapes"},
    Whole: {"shapes"},
    Infinite: {"shapes", "distinct"},
    OneStream: {"seeds"},
    NormalisedTogether: {"seeds"},
    ManySeedsAsOne: {"distinct"},
    HoldsAStream: {"picklable"},
    UsesTheGlobalGenerator: {"random-state"},
    NeverTheSame: {"seeds", "random-state"},
}


@pytest.mark.parametrize("generator", FAULTS, ids=lambda generator: generator.__name__)
def test_a_planted_fault_breaks_its_promise_alone(generator, broken):
    assert broken(generator_checks(generator())) == FAULTS[generator]


def test_every_promise_has_a_planted_fault():
    assert {promise.name for promise in PROMISES} == set().union(*FAULTS.values())


@pytest.mark.parametrize("check", generator_checks(Fields()))
def test_a_good_generator_keeps_all(check):
    check()


def test_a_shape_that_is_refused_is_passed_over():
    class Points(Fields):
        def sample(self, seeds, shape):
            if shape != (1, 1, 1):
                raise ValueError("one number at a time")
            return super().sample(seeds, shape)

    next(check for check in generator_checks(Points()) if check.__name__ == "shapes")()
    with pytest.raises(AssertionError, match="one number at a time"):
        next(check for check in generator_checks(Points(), shape=(2, 1, 1)) if check.__name__ == "shapes")()
