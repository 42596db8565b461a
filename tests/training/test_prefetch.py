"""Batches made beforehand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ipt.training.prefetch import drawn, prefetched
from ipt.training.sources import ArraySource


def test_prefetching_keeps_the_order_and_stops_with_its_reader():
    made = []
    batches = prefetched(lambda number: made.append(number) or number, 5, ahead=2)
    assert [next(batches) for _ in range(4)] == [5, 6, 7, 8]
    batches.close()
    count = len(made)
    assert made == list(range(5, 5 + count)) and 4 <= count <= 7
    with pytest.raises(StopIteration):
        next(batches)


def test_processes_draw_the_batches_that_the_source_would():
    source = ArraySource(np.random.default_rng(0).integers(0, 256, (20, 4, 4, 1), np.uint8), held_out=4)
    here, there = drawn(source, 1, 3, 7), drawn(source, 1, 3, 7, workers=2)
    for _ in range(6):
        assert torch.equal(next(here), next(there))
    there.close()
