"""About how long a solve takes, and how much memory, before it begins."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

import ipt
from ipt.folder import pipeline
from ipt.folder.options import ExecutionOptions
from ipt.folder.run import solve_all
from ipt.images import files
from ipt.solve.cost import Cost, _LiveMemory, cost_of
from ipt.solve.options import SolveOptions
from ipt.solve.task import SamplingTask

SETTINGS = {"operator.kernel_size": 9}
SOLVER = ipt.build("blur", "gaussian", parameters={"kernel": "gaussian"}, settings=SETTINGS, steps=6).solver


def task(side: int, **more: Any) -> SamplingTask:
    return SamplingTask(SOLVER, torch.rand(1, 3, side, side), 0.01, {}, (0,), **more)


def test_memory_of_what_lives_together_is_counted_once():
    with _LiveMemory() as memory:
        first = torch.ones(1000)
        view = first[:500].reshape(5, 100)
        second = view + 1
        assert memory.peak == 4000 + 2000
        del first, view
        third = second * 2
        assert memory.peak == 6000 and third.numel() == 500
    torch.ones(5000)
    assert memory.peak == 6000


def test_a_cost_grows_with_pixels_and_draws_and_a_region_is_a_small_part():
    small, large = cost_of([task(96)]), cost_of([task(400)])
    assert small is not None and large is not None and small.seconds > 0
    assert large.memory / small.memory == pytest.approx((408 / 104) ** 2, rel=0.3)
    assert 300 < large.memory / 408**2 < 5000
    assert large.seconds > 4 * small.seconds
    region = (slice(0, 64), slice(0, 64))
    found = cost_of([task(400, region=region, reserve=(1, 2))])
    assert found is not None and found.draws == 3 and found.seconds < large.seconds * 1.2


def test_a_prior_that_takes_no_small_part_says_nothing():
    class Large(type(SOLVER.priors["image"])):  # type: ignore[misc]
        def normalization(self, shape: tuple[int, ...]) -> ipt.Normalization:
            if min(shape[1:]) < 150:
                raise ValueError("too small")
            return super().normalization(shape)

    priors = {**SOLVER.priors, "image": Large()}
    assert cost_of([replace(task(160), solver=replace(SOLVER, priors=priors))]) is None


@pytest.mark.parametrize(
    ("cost", "words"),
    [
        (Cost(70, 3e8), "about 70 s, 0.3 GB of memory"),
        (Cost(1000, 5e6, 3), "about 17 min a draw (at most 3), 0.1 GB of memory"),
        (Cost(15000, 3.16e10), "about 4.2 h, 31.6 GB of memory"),
    ],
)
def test_a_cost_in_words(cost, words):
    assert str(cost) == words


def test_it_is_told_before_the_work_of_large_pictures_begins(tmp_path, monkeypatch):
    class Listener:
        heard: list[str]

        def begin(self, *given: Any) -> None:
            pass

        def step(self, progress: Any) -> None:
            self.heard.append("step")

        def end(self, outcome: Any) -> None:
            pass

        def note(self, text: str) -> None:
            self.heard.append(text)

    files.write(tmp_path / "a.png", torch.rand(3, 40, 40))
    priors = {"image": "gaussian", "kernel": "gaussian"}
    options = SolveOptions(input=(tmp_path / "a.png",), prior=priors, steps=2, set=SETTINGS, effort=1, noise=0.01)
    for large, told in ((2**18, False), (1, True)):
        monkeypatch.setattr(pipeline, "LARGE", large)
        Listener.heard = []
        list(solve_all(options, ExecutionOptions(), tmp_path / f"out{large}", Listener()))
        assert Listener.heard[-1] == "step" and ("GB of memory" in Listener.heard[0]) == told
    costs: list[Cost] = []
    steps: list[int] = []
    ipt.restore(
        tmp_path / "a.png", prior=priors, steps=2, settings=SETTINGS, effort=1, noise=0.01, cost=costs.append,
        progress=lambda step: steps.append(len(costs)),
    )  # fmt: skip
    assert len(costs) == 1 and steps == [1, 1]
