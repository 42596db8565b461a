"""Making the next batches in a thread or in processes while the present one trains."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from itertools import count
from multiprocessing import get_context
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from ipt.training.sources import Source

T = TypeVar("T")


def prefetched(make: Callable[[int], T], first: int, ahead: int = 2) -> Generator[T, None, None]:
    """Yield make(first), make(first + 1), ... without end, up to `ahead` of them made beforehand, all by one thread.

    An exception in `make` is raised where its result was due. Closing the iterator ends the thread.
    """
    yield from _ahead(ThreadPoolExecutor(1, "ipt-batches"), make, first, ahead)


def drawn(source: Source, seed: int, size: int, first: int, workers: int = 0) -> Generator[Tensor, None, None]:
    """Yield the batches of a source from number `first` on, without end, drawn here or by processes.

    Args:
        source: Of the examples; for processes, it can be pickled.
        seed: Of the training.
        size: Examples a batch.
        first: Number of the first batch.
        workers: Processes, each with one thread and two batches ahead; 0: none.
    """
    if not workers:
        for number in count(first):
            yield source.batch(seed, number, size)
    # Spawned: what was forked from a process that uses an accelerator cannot go on.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _take, (source, seed, size))
    for batch in _ahead(pool, _draw, first, 2 * workers):
        yield torch.from_numpy(batch)


_TAKEN: tuple[Any, ...] = ()


def _take(source: Source, seed: int, size: int) -> None:
    global _TAKEN
    torch.set_num_threads(1)
    _TAKEN = source, seed, size


def _draw(number: int) -> np.ndarray:
    source, seed, size = _TAKEN
    batch: np.ndarray = source.batch(seed, number, size).numpy()
    return batch


def _ahead(pool: Executor, make: Callable[[int], T], first: int, ahead: int) -> Generator[T, None, None]:
    waiting: deque[Future[T]] = deque()
    try:
        for number in count(first):
            waiting.append(pool.submit(make, number))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
