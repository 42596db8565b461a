"""Prefetching: the next batches are made in a thread or in processes during a training step."""

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
    """Yield make(first), make(first + 1), ... without end, with up to `ahead` results made in advance by one thread.

    An exception in `make` is raised in place of its result. Closing the iterator ends the thread.
    """
    yield from _ahead(ThreadPoolExecutor(1, "ipt-batches"), make, first, ahead)


def drawn(source: Source, seed: int, size: int, first: int, workers: int = 0) -> Generator[Tensor, None, None]:
    """Yield the batches of a source without end, drawn in this process or by others.

    Args:
        source: Of the examples; for other processes it must be picklable.
        seed: Of the training.
        size: Examples per batch.
        first: Number of the first batch.
        workers: Number of processes, each with one thread and two batches in advance; 0: none.
    """
    if not workers:
        for number in count(first):
            yield source.batch(seed, number, size)
    # Spawned, since a process that uses an accelerator cannot be forked.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _set_up_worker, (source, seed, size))
    for batch in _ahead(pool, _draw, first, 2 * workers):
        yield torch.from_numpy(batch)


_WORKER: tuple[Any, ...] = ()
"""Source, seed and size of a batch, in a worker process."""


def _set_up_worker(source: Source, seed: int, size: int) -> None:
    global _WORKER
    torch.set_num_threads(1)
    _WORKER = source, seed, size


def _draw(number: int) -> np.ndarray:
    """Batch `number`, in a worker process."""
    source, seed, size = _WORKER
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
