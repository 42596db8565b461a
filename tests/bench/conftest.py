from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ipt.bench.attempts import Bench, BenchOptions
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


ROWS: list[dict[str, Any]] = [
    {"solver": "dps", "case": f"{n}", "picture": "a, b.png", "status": "done", "reason": "", "psnr": 20.0 + n,
     "kernel_mse": 1e-4, "memory": n * 2**20, "histograms": {"kernel": [0.5 + 0.1 * n, 0.5 - 0.1 * n]}}
    for n in range(4)
] + [{"solver": "dps", "case": "4", "picture": "c.png", "status": "failed", "reason": "diverged"}]  # fmt: skip


@pytest.fixture
def tiny() -> Protocol:
    """Three cases of 32 x 32 px, two steps, no network."""
    return parsed(VALUES, "tiny", "tiny.yaml")


@pytest.fixture
def bench(tiny: Protocol) -> Callable[..., Bench]:
    return lambda **options: Bench(tiny, BenchOptions(**options))


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
