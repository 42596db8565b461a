"""Batches made beforehand."""

from __future__ import annotations

import pytest

from ipt.training.prefetch import prefetched


def test_prefetching_keeps_the_order_and_stops_with_its_reader():
    made = []
    batches = prefetched(lambda number: made.append(number) or number, 5, ahead=2)
    assert [next(batches) for _ in range(4)] == [5, 6, 7, 8]
    batches.close()
    count = len(made)
    assert made == list(range(5, 5 + count)) and 4 <= count <= 7
    with pytest.raises(StopIteration):
        next(batches)
