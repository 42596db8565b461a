"""A picture in tiles is the picture in one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import ipt
from ipt.core.solver import Solution
from ipt.images.outcomes import Progress
from ipt.operators.blur import Blur
from ipt.solve import region as regions
from ipt.solve import task as tasks
from ipt.solve import tiles
from ipt.solve.batches import solve_tasks
from ipt.solve.draws import Batch
from ipt.solve.parts import Part, Preview, in_whole
from ipt.solve.sizer import BatchSizer
from ipt.solve.task import SamplingTask
from ipt.solve.tiles import Spans, Tiling
from ipt.solve.work import at_once
from tests.solve.test_region import PRIORS, SIZE, blurred

QUICK: dict[str, Any] = {"prior": PRIORS, "steps": 6, "noise": 0.01, "effort": 1, "settings": SIZE}


@pytest.mark.parametrize("length", [30, 64, 65, 129, 500])
@pytest.mark.parametrize("margin", [0, 4])
def test_spans_cover_a_side_and_their_weights_pass_into_each_other(monkeypatch, length, margin):
    monkeypatch.setattr(tiles, "_RAMP", 8)
    sides = Spans(length, margin, 64)
    spans = list(sides)
    assert spans[0].start == 0 and spans[-1].stop == length and {s.stop - s.start for s in spans} == {len_of(spans)}
    assert len_of(spans) + 2 * margin <= 64 and (len(spans) == 1) == (length + 2 * margin <= 64)
    total = torch.zeros(length + 2 * margin)
    for span in spans:
        weight = sides.weight(span)
        assert weight.min() >= 0 and weight.max() == 1
        # What is near the end of a tile, where there is a neighbour, does not count.
        assert span.start == 0 or float(weight[: 2 * margin].sum()) == 0
        total[sides.in_image(span)] += weight
    assert total.min() > 0.5


def len_of(spans: list[slice]) -> int:
    return spans[0].stop - spans[0].start


def test_tiles_are_joined_without_their_rims(monkeypatch):
    monkeypatch.setattr(tiles, "_RAMP", 8)
    tiling, truth = Tiling(Spans(100, 4, 64), Spans(150, 4, 64)), torch.rand(2, 3, 108, 158)
    solutions = []
    for number, (rows, columns) in enumerate(tiling):
        whole = truth[..., rows.start : rows.stop + 8, columns.start : columns.stop + 8].clone()
        for axis, (span, length) in enumerate(((rows, 100), (columns, 150)), start=2):
            ends = [whole.narrow(axis, 0, 8)] * (span.start > 0)
            ends += [whole.narrow(axis, whole.shape[axis] - 8, 8)] * (span.stop < length)
            for end in ends:
                end.fill_(9)
        kernel, residual = torch.full((2, 1, 3, 3), float(number)), torch.tensor([3.0, number])
        solutions.append(
            Solution(whole, whole, {"kernel": kernel}, residual, residual[None], [(60, 60, 8)], {"image": 8})
        )
    found, count = tiling.joined(solutions), len(solutions)
    torch.testing.assert_close(found.whole, truth)
    assert found.image.shape == (2, 3, 100, 150) and found.calls == {"image": 8 * count}
    assert found.sizes == [(100, 150, 8)] and float(found.residual[0]) == pytest.approx(3)
    assert float(found.parameters["kernel"].mean()) == pytest.approx((count - 1) / 2)
    assert float(found.residual[1] ** 2) == pytest.approx(sum(n**2 for n in range(count)) / count)


def test_a_picture_in_tiles_from_a_region(monkeypatch):
    measured, region, heard, seen = blurred(90, 120), (20, 10, 60, 60), [], []
    monkeypatch.setattr(tiles, "SIDE", 98)

    def watch(step: Progress) -> None:
        heard.append(step)
        assert step.estimate is not None
        seen.append(step.estimate()["image"].numpy().transpose(1, 2, 0))

    found = ipt.restore(measured, region=region, progress=watch, **QUICK)
    assert len(list(Tiling.of(Blur(9), (3, 90, 120), 98))) == 2
    assert found.picture.shape == (90, 120, 3) and np.isfinite(found.picture).all()
    alone = ipt.restore(measured[10:70, 20:80], **QUICK)
    assert found.probability == alone.probability
    assert found.details.record["solved_sizes"][-1][:2] == [90, 120]
    shares = [each.share for each in heard]
    assert shares == sorted(shares) and shares[-1] == 1
    gradients = [np.abs(np.diff(one, axis=1)).mean() for one in (measured, found.picture)]
    assert gradients[1] > 1.2 * gradients[0]
    # All of the picture is seen: at first but the region is another, at last each tile is what is written.
    changed = [np.abs(one - measured).max(-1) > 1e-6 for one in (seen[0], seen[-1])]
    inside = np.zeros((90, 120), bool)
    inside[10:70, 20:80] = True
    assert changed[0][inside].mean() > 0.9 and not changed[0][~inside].any() and changed[1].mean() > 0.9
    assert np.abs(seen[-1] - found.picture)[:, [*range(40), *range(80, 120)]].mean() < 0.02


def test_tiles_go_on_where_they_were(monkeypatch):
    monkeypatch.setattr(tiles, "SIDE", 98)
    solver = ipt.build("blur", "gaussian", parameters={"kernel": "gaussian"}, settings=SIZE, steps=6).solver
    measurement = torch.from_numpy(blurred(90, 120)).permute(2, 0, 1)[None]
    task = SamplingTask(solver, measurement, 0.01, {}, (3, 4), region=(slice(10, 70), slice(20, 80)))
    saved: list[list[Batch]] = []
    (whole,) = solve_tasks([task], BatchSizer(2), save=lambda found, last: saved.append(list(found)))
    assert whole.image.shape == (2, 3, 90, 120) and max(map(len, saved)) == 2
    for begun in (saved[0], saved[len(saved) // 2], saved[-2]):
        (again,) = solve_tasks([task], BatchSizer(2), begun=begun)
        assert torch.equal(again.image, whole.image)


def test_a_tile_in_which_nothing_is_trusted_is_solved_as_it_is(monkeypatch):
    monkeypatch.setattr(tiles, "SIDE", 98)
    mask = np.ones((90, 200))
    mask[:, 100:] = 0
    found = ipt.restore(blurred(90, 200), mask=mask, region=(20, 10, 60, 60), **QUICK)
    assert found.picture.shape == (90, 200, 3) and np.isfinite(found.picture).all()
    assert found.details.record["trusted"] == pytest.approx(0.5)


def test_a_large_picture_has_a_region_by_itself_and_may_be_solved_together(monkeypatch):
    for module in (regions, tasks):
        monkeypatch.setattr(module, "CHOSEN_SIDE", 60)
    given = blurred(90, 120)
    found = ipt.restore(given, **QUICK)
    assert found.details.record["region"][2:] == [60, 60]
    assert ipt.restore(given, region="none", **QUICK).details.record["region"] is None
    # Not large enough; nothing to be found; nothing that could be told of it.
    assert ipt.restore(given[:64, :64], **QUICK).details.record["region"] is None
    known = {**QUICK, "prior": {"image": "gaussian"}, "known": {"kernel": np.full((3, 3), 1 / 9)}}
    assert ipt.restore(given, **known).details.record["region"] is None
    circular = {**SIZE, "operator.border": "circular"}
    assert ipt.restore(given, **{**QUICK, "settings": circular}).details.record["region"] is None


def test_a_preview_is_small_and_has_the_channels_of_what_is_solved():
    preview = Preview(torch.zeros(6, 1500, 2400))
    parts = [Part(preview, slice(0, 1500), slice(1200, 2400)), Part(Preview(torch.zeros(3, 9, 9)), *2 * [slice(0, 9)])]
    shown = in_whole(parts, torch.ones(2, 3, 100, 80))
    assert shown.shape == (1, 3, 750, 1200)
    assert float(shown[..., :600].max()) == 0 and float(shown[..., 600:].min()) == 1


def test_a_known_kernel_is_solved_in_tiles_and_is_searched_for_nowhere(monkeypatch):
    line = np.zeros((9, 9))
    line[4, 1:8] = 1 / 7
    given, known = blurred(90, 120), {**QUICK, "prior": {"image": "gaussian"}, "known": {"kernel": line}}
    together = ipt.restore(given, **known)
    for module in (tiles, regions):
        monkeypatch.setattr(module, "SIDE", 98)
    found = ipt.restore(given, region=(20, 10, 60, 60), **known)
    assert found.details.record["region"] is None and np.allclose(found.parameters["kernel"][0], line)
    assert found.details.record["solved_sizes"] == [[90, 120, len(found.details.trace)]]
    assert len(found.details.trace) < len(together.details.trace)
    gradients = [np.abs(np.diff(one, axis=1)).mean() for one in (given, found.picture)]
    assert gradients[1] > 1.2 * gradients[0] and np.abs(found.residual).max() < 0.05
    assert np.array_equal(found.picture, ipt.restore(given, **known).picture)
    # Together, as asked for.
    assert np.array_equal(ipt.restore(given, region="none", **known).picture, together.picture)


def test_tiles_of_a_known_kernel_go_on_where_they_were(monkeypatch):
    monkeypatch.setattr(tiles, "SIDE", 98)
    kernel = torch.full((1, 1, 3, 3), 1 / 9)
    solver = ipt.build("blur", "gaussian", settings=SIZE, steps=6, known={"kernel": kernel[0]}).solver
    measurement = torch.from_numpy(blurred(90, 120)).permute(2, 0, 1)[None]
    task = SamplingTask(solver, measurement, 0.01, {"kernel": kernel}, (3,), begun=True)
    assert at_once(task) < 90 * 120 == at_once(replace(task, begun=False))
    saved: list[list[Batch]] = []
    (whole,) = solve_tasks([task], BatchSizer(1), save=lambda found, last: saved.append(list(found)))
    (again,) = solve_tasks([task], BatchSizer(1), begun=saved[-2])
    assert len(saved[-2]) == 2 and torch.equal(again.image, whole.image)
