from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ipt.bench.attempts import Bench
from ipt.bench.protocol import Protocol, parsed

VALUES: dict[str, Any] = {
    "pictures": "shipped",
    "size": 32,
    "count": 3,
    "noise": 0.02,
    "operator": {"name": "blur", "kernel_size": 7, "border": "circular"},
    "generators": {"kernel": {"name": "motion", "extent": [4, 7]}},
    "priors": {"image": "gaussian", "kernel": "gaussian"},
    "solvers": {
        "measurement": {"baseline": "measurement"},
        "blind": {"steps": 2},
        "known": {"steps": 2, "known": ["kernel"], "operator": {"border": "unknown"}},
    },
}


@pytest.fixture
def tiny() -> Protocol:
    """Three cases of 32 x 32 px, two steps, no network."""
    return parsed(VALUES, "tiny", "tiny.yaml")


@pytest.fixture
def bench(tiny: Protocol) -> Callable[..., Bench]:
    return lambda **options: Bench(**{"protocol": tiny, **options})


class Listener:
    """A watcher that remembers what began and how it ended."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.ended: list[tuple[str, str]] = []

    def begin(self, name: str, number: int, total: int, count: int = 1) -> None:
        self.began.append(name)

    def step(self, progress: Any) -> None:
        assert 0 < progress.done <= progress.total

    def end(self, outcome: Any) -> None:
        self.ended.append((outcome.name, outcome.status))

    def note(self, text: str) -> None:
        raise AssertionError(text)


@pytest.fixture
def listener() -> Listener:
    return Listener()
