"""A draw that is gone on with where its kernel differs from place to place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

import ipt
from ipt.core.errors import IptError
from ipt.core.operator import ParametricOperator
from ipt.core.problem import Problem
from ipt.core.solver import Solution
from ipt.guidance.dps import DPS
from ipt.images.outcomes import Progress
from ipt.operators.blur import Blur, locality
from ipt.operators.shake import Shake
from ipt.sampling.multiscale import Multiscale
from ipt.solve.batches import solve_tasks
from ipt.solve.draws import Batch
from ipt.solve.joining import join_draws, split_draws
from ipt.solve.local import local_steps
from ipt.solve.sizer import BatchSizer
from ipt.solve.task import SamplingTask

SIDE = 160
GIVEN: dict[str, Any] = {
    "prior": {"image": "gaussian", "kernel": "gaussian"},
    "steps": 8,
    "settings": {"operator.kernel_size": 24},
    "noise": 0.02,
    "effort": 1,
}


@pytest.fixture
def differing(monkeypatch) -> None:
    """Whatever the evidence says, kernels differ, and several are better."""
    monkeypatch.setattr("ipt.operators.blur.operator.differs", lambda *_: True)
    monkeypatch.setattr("ipt.operators.blur.operator.sparser", lambda *_: True)


@pytest.fixture
def alike(monkeypatch) -> None:
    monkeypatch.setattr("ipt.operators.blur.operator.differs", lambda *_: False)


def photograph(side: int = SIDE) -> np.ndarray:
    return np.asarray(Image.fromarray(data.astronaut()[60:184, 163:287]).resize((side, side)))


def task(operator: Blur, shape: tuple[int, ...] = (3, SIDE, SIDE), **given: Any) -> SamplingTask:
    solver = ipt.build(operator="blur", prior="gaussian", parameters={"kernel": "gaussian"}, steps=8).solver
    values = {"noise": 0.02, "known": {}, "seeds": (1,), **given}
    return SamplingTask(solver=replace(solver, operator=operator), measurement=torch.zeros(1, *shape), **values)


def test_what_may_have_places():
    blur = Blur(24)
    # From .15 on the levels of the eight.
    assert local_steps(task(blur)) == sum(level <= 0.15 for level in task(blur).solver.sigmas()[:-1]) > 1
    assert local_steps(task(blur, (3, SIDE - 1, 300))) == 0
    assert local_steps(task(blur, (3, 1200, 1200))) == 0
    assert local_steps(task(Blur(24, border="circular"))) == 0
    assert local_steps(task(Blur(24, tiles=1))) == 0
    assert local_steps(task(blur, known={"kernel": torch.ones(1, 1, 5, 5)})) == 0
    assert local_steps(task(blur, region=(slice(0, 100), slice(0, 100)))) == 0
    dps = task(blur)
    assert local_steps(replace(dps, solver=replace(dps.solver, rule=DPS()))) == 0


def test_one_kernel_stays_where_it_explains_the_picture(alike):
    found = ipt.restore(photograph(), **GIVEN)
    assert found.parameters["kernel"].shape == (1, 24, 24)
    assert "place to place" not in found.verdict


def test_where_kernels_differ_each_part_has_one(differing):
    heard: list[Progress] = []
    found = ipt.restore(photograph(), **GIVEN, progress=heard.append)
    assert found.parameters["kernel"].shape == (4, 24, 24)
    assert found.parameters["kernel"].sum((1, 2)) == pytest.approx(1, abs=1e-4)
    assert "The kernel differs from place to place: there is one for each of 2 x 2 parts" in found.verdict
    # The residual is that of all kernels.
    record = found.details.record
    assert record["residual_inside"] == pytest.approx(float(np.sqrt(np.square(found.residual).mean())), rel=1e-4)
    assert record["solved_sizes"][-1] == [SIDE, SIDE, local_steps(task(Blur(24)))]
    # Every step is told, and the last says that all is done.
    assert [step.done for step in heard] == list(range(1, heard[-1].total + 1))
    shares = [step.share for step in heard]
    assert shares == sorted(shares) and shares[-1] == 1
    seen = heard[-2].estimate()
    assert seen["image"].shape == (3, SIDE, SIDE) and seen["kernel"].shape == (4, 24, 24)


@pytest.mark.parametrize(("sparsity", "kernels"), [(-0.1, 4), (0.0, 4), (0.01, 1)])
def test_several_kernels_stay_where_the_picture_became_no_less_sparse(sparsity, kernels, monkeypatch):
    monkeypatch.setattr("ipt.operators.blur.operator.differs", lambda *_: True)

    def compared(local, before):
        assert local.evidence.keys() >= {"sparsity", "residual"}
        changed = replace(before, evidence={**before.evidence, "sparsity": before.evidence["sparsity"] + sparsity})
        return locality.sparser(changed, before)

    monkeypatch.setattr("ipt.operators.blur.operator.sparser", compared)
    found = ipt.restore(photograph(), **GIVEN)
    assert len(found.parameters["kernel"]) == kernels
    # What was spent is spent.
    steps = sum(level.size[2] for level in Multiscale(task(Blur(24)).solver).problem(torch.zeros(1, 3, SIDE, SIDE)))
    assert found.details.record["calls"]["image"] == steps + local_steps(task(Blur(24)))


def test_as_many_parts_as_are_asked_for(differing):
    settings = {**GIVEN["settings"], "operator.tiles": 3}
    assert ipt.restore(photograph(), **{**GIVEN, "settings": settings}).parameters["kernel"].shape == (9, 24, 24)
    with pytest.raises(IptError, match=r"operator\.tiles is a whole number from 1 to 8"):
        Blur(tiles=9)


def test_draws_have_places_in_all_or_in_none(monkeypatch):
    asked = iter([True, False])
    monkeypatch.setattr("ipt.operators.blur.operator.differs", lambda *_: next(asked))
    monkeypatch.setattr("ipt.operators.blur.operator.sparser", lambda *_: True)
    found = ipt.restore(photograph(), **{**GIVEN, "effort": 1}, samples=2)
    kernels = [draw.parameters["kernel"] for draw in found.draws]
    # The likelier one is refined, whichever that is.
    same, differ = sorted(kernels, key=lambda each: np.ptp(each, 0).max())
    assert same.shape == differ.shape == (4, 24, 24)
    assert np.ptp(same, 0).max() == 0 and np.ptp(differ, 0).max() > 1e-4
    assert same.sum((1, 2)) == pytest.approx(1, abs=1e-4)


def test_a_solve_that_was_stopped_comes_to_the_same(differing):
    one = task(Blur(24), seeds=(1, 2))
    pixels = torch.from_numpy(photograph().copy()).permute(2, 0, 1)[None] / 255
    one, kept = replace(one, measurement=pixels), []

    def save(batches: list[Batch], finished: bool) -> None:
        kept.append(list(batches))

    (whole,) = solve_tasks([one], BatchSizer(1), save=save)
    assert isinstance(whole.operator, Shake) and whole.parameters["kernel"].shape == (2, 4, 24, 24)
    for state in (kept[3], kept[len(kept) // 2 - 1], kept[-1]):
        (again,) = solve_tasks([one], BatchSizer(1), begun=state)
        assert torch.equal(again.image, whole.image) and torch.equal(again.trace, whole.trace)
        assert again.calls == whole.calls


@pytest.mark.parametrize(
    ("seeds", "reserve", "beside", "refined"),
    [
        ((1,), (2, 3), [0.3, 0.9, 0.7], [2]),
        ((1,), (), [0.4], [1]),
        ((1, 2, 3), (), [0.4, 0.6, 0.9], [2, 3]),
        ((1, 2), (), [0.4, 0.2], [1]),
    ],
)
def test_what_is_shown_is_refined_and_nothing_else(seeds, reserve, beside, refined, monkeypatch):
    """Draws are refined when all are made, with the probabilities that they have beside each other."""

    def compared(operator, assessments, parameters):
        return [replace(one, probability=chance) for one, chance in zip(assessments, beside, strict=False)]

    def asked(task, solution, assessment, seed, rivals, progress):
        heard.append((seed, assessment.probability))
        assert rivals["kernel"].ndim == 4
        return solution

    heard: list[tuple[int, float]] = []
    monkeypatch.setattr("ipt.solve.joining.compare_draws", compared)
    monkeypatch.setattr("ipt.solve.refinement.localized", asked)
    solve_tasks([task(Blur(24), seeds=seeds, reserve=reserve)], BatchSizer(2))
    all_seeds = (*seeds, *reserve)
    assert heard == [(seed, beside[all_seeds.index(seed)]) for seed in refined]


def test_where_memory_is_short_one_kernel_stays(differing, monkeypatch):
    def broken(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("ipt.solve.refinement.localized", broken)
    notes: list[str] = []
    heard: list[Progress] = []
    (found,) = solve_tasks([task(Blur(24))], BatchSizer(1, note=notes.append), heard.append)
    assert heard[-1].share == 1 and heard[-1].done == heard[-1].total
    assert found.parameters["kernel"].shape == (1, 1, 24, 24)
    assert notes == ["out of memory for a kernel in each part of a picture; it keeps one for all of it"]


def test_a_prior_that_takes_no_kernels_with_places_keeps_one(differing, monkeypatch):
    def refused(operator: ParametricOperator, *rest: Any) -> Problem:
        if isinstance(operator, Shake):
            raise IptError("it takes one")
        return posed(operator, *rest)

    posed = Problem.posed
    monkeypatch.setattr(Problem, "posed", refused)
    (found,) = solve_tasks([task(Blur(24))], BatchSizer(1))
    assert found.parameters["kernel"].shape == (1, 1, 24, 24)


def test_draws_come_apart_and_together():
    image = torch.rand(3, 1, 4, 4)
    made = Solution(image, image, {"k": image}, torch.rand(3), torch.rand(5, 3), [], {"image": 7})
    each = split_draws(made)
    assert [one.calls for one in each] == [{"image": 7}] * 3
    longer = replace(each[1], trace=torch.cat([each[1].trace, torch.zeros(2, 1)]))
    whole = join_draws(task(Blur(24)), [each[0], longer, each[2]])
    assert torch.equal(whole.image, image) and whole.calls == {"image": 21}
    assert torch.equal(whole.trace[:5], made.trace)
    assert torch.equal(
        whole.trace[5:], torch.stack([made.trace[-1, [0, 0]], torch.zeros(2), made.trace[-1, [2, 2]]], 1)
    )
