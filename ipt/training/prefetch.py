"""Making the next batches in a thread while the present one trains."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from typing import TypeVar

T = TypeVar("T")


def prefetched(make: Callable[[int], T], first: int, ahead: int = 2) -> Generator[T, None, None]:
    """Yield make(first), make(first + 1), ... without end, up to `ahead` of them made beforehand, all by one thread.

    An exception in `make` is raised where its result was due. Closing the iterator ends the thread.
    """
    waiting: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(1, "ipt-batches")
    try:
        for number in count(first):
            waiting.append(pool.submit(make, number))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
