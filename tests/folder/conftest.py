"""A folder of small pictures, and a run that solves them quickly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from skimage import data

from ipt.images.outcomes import Outcome, Progress
from ipt.solve.options import SolveOptions

PRIORS = {"image": "gaussian", "kernel": "gaussian"}


class Recorder:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, int, int, int]] = []
        self.steps: list[Progress] = []
        self.notes: list[str] = []

    def begin(self, name: str, number: int, total: int, count: int = 1) -> None:
        self.batches.append((name, number, total, count))

    def step(self, progress: Progress) -> None:
        self.steps.append(progress)

    def end(self, outcome: Outcome) -> None: ...

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """a.png to d.png: a and c of 24 x 24 pixels, b and d of 24 x 20."""
    place = tmp_path / "in"
    place.mkdir()
    for number, name in enumerate("abcd"):
        crop = data.astronaut()[60 + 9 * number :, 163:][:124, :124]
        Image.fromarray(crop).resize((24, 24 - 4 * (number % 2))).save(place / f"{name}.png")
    return place


@pytest.fixture
def options(pictures: Path) -> SolveOptions:
    quick: dict[str, Any] = {"prior": PRIORS, "set": {"operator.kernel_size": 7}, "steps": 3}
    return SolveOptions(input=(pictures,), noise=0.02, **quick)
