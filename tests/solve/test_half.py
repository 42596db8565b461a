"""A large picture that is solved at half its sides first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner

import ipt
from ipt.cli.main import cli
from ipt.core.errors import IptError
from ipt.images import files
from ipt.images.outcomes import Progress
from ipt.operators.blur import Blur
from ipt.priors.analytic import GaussianPrior
from ipt.solve import large, tiles
from ipt.solve import region as regions
from ipt.solve import task as tasks
from ipt.solve.batches import solve_tasks
from ipt.solve.draws import Batch
from ipt.solve.halving import FromHalf, HalfDraw, at_half, can_begin_at_half
from ipt.solve.sizer import BatchSizer
from ipt.solve.task import SamplingTask
from ipt.solve.work import Work, at_once
from tests.solve.test_region import QUICK, SIZE, blurred


def solved(measured: np.ndarray, **given: Any) -> ipt.Restored:
    return ipt.restore(measured, **{"settings": SIZE, **QUICK, **given})


def task(**given: Any) -> SamplingTask:
    solver = ipt.build("blur", "gaussian", parameters={"kernel": "gaussian"}, settings=SIZE, steps=6).solver
    measurement = torch.from_numpy(blurred()).permute(2, 0, 1)[None]
    region = (slice(10, 70), slice(20, 80))
    return replace(SamplingTask(solver, measurement, 0.01, {}, (3,), region=region, half=True), **given)


@pytest.fixture
def at(monkeypatch):
    """Set the probabilities at half the sides and in a region."""

    def probabilities(half: float, region: float) -> None:
        monkeypatch.setattr(HalfDraw, "probability", property(lambda draw: half))
        monkeypatch.setattr("ipt.solve.row.RegionResult.probability", property(lambda result: region))

    return probabilities


def test_the_picture_at_half_its_sides_is_solved_and_then_all_of_it():
    heard: list[Progress] = []
    measured = blurred()
    found = solved(measured, region="half", progress=heard.append)
    record = found.details.record
    assert record["half"] is True and record["region"] is None
    assert [size[:2] for size in record["solved_sizes"]] == [[45, 60], [90, 120]]
    steps = [size[2] for size in record["solved_sizes"]]
    assert steps[0] == 6 and len(found.details.trace) == sum(steps) and record["calls"]["image"] == sum(steps)
    assert found.picture.shape == (90, 120, 3) and found.parameters["kernel"].shape == (1, 9, 9)
    gradients = [np.abs(np.diff(one, axis=1)).mean() for one in (measured, found.picture)]
    assert gradients[1] > 1.2 * gradients[0]
    shares = [each.share for each in heard]
    assert [each.done for each in heard] == list(range(1, sum(steps) + 1)) and heard[-1].total == sum(steps)
    assert shares == sorted(shares) and 0 < shares[5] < 1 and shares[-1] == 1


@pytest.mark.parametrize(
    ("half", "region", "way"),
    [(0.7, 0.99, "half"), (0.5, 0.4, "half"), (0.5, 0.55, "region"), (0.0, 0.0, "region")],
)
def test_the_likelier_of_both_ways_is_continued(half, region, way, at, monkeypatch):
    for module in (regions, tasks):
        monkeypatch.setattr(module, "CHOSEN_SIDE", 40)
    at(half, region)
    asked = []
    solve_regions = large._solve_regions
    monkeypatch.setattr(large, "_solve_regions", lambda *given: asked.append(1) or solve_regions(*given))
    record = solved(blurred()).details.record
    assert record["half"] == (way == "half") and (record["region"] is None) == (way == "half")
    # A result that is sure needs no region.
    assert bool(asked) == (half < 0.6)


def test_pictures_of_one_shape_may_go_different_ways(monkeypatch):
    pictures = [task(), task(measurement=task().measurement.flip(-1)), task(seeds=(4,))]
    monkeypatch.setattr(HalfDraw, "probability", property(lambda draw: 0.95 if draw.seed == 4 else 0.3))
    monkeypatch.setattr("ipt.solve.row.RegionResult.probability", property(lambda result: 0.5))
    together = solve_tasks(pictures, BatchSizer(2))
    assert [isinstance(one, FromHalf) for one in together] == [False, False, True]
    for one, picture in zip(together, pictures, strict=True):
        (alone,) = solve_tasks([picture], BatchSizer(1))
        assert torch.allclose(one.image, alone.image, atol=1e-4)


def test_a_larger_picture_begins_at_a_quarter_of_its_sides(monkeypatch):
    monkeypatch.setattr(tasks, "CHOSEN_SIDE", 20)
    heard: list[Progress] = []
    (found,) = solve_tasks([task(region=None)], BatchSizer(1), heard.append)
    assert isinstance(found, FromHalf)
    assert [size[:2] for size in found.sizes] == [(23, 30), (45, 60), (90, 120)]
    assert found.parameters["kernel"].shape == (1, 1, 9, 9) and found.calls["image"] == sum(s[2] for s in found.sizes)
    shares = [each.share for each in heard]
    assert shares == sorted(shares) and shares[-1] == 1
    work = Work.of([task(region=None)])
    assert work.half > Work.of([at_half(at_half(task(region=None)))]).total


def test_each_of_several_samples_continues(at):
    at(0.95, 0.5)
    (found,) = solve_tasks([task(seeds=(3, 5), region=None)], BatchSizer(2))
    assert isinstance(found, FromHalf) and found.image.shape == (2, 3, 90, 120)
    (first,) = solve_tasks([task(region=None)], BatchSizer(1))
    assert torch.allclose(found.image[:1], first.image, atol=1e-4)
    assert not torch.allclose(found.image[1], found.image[0], atol=1e-4)


def test_tiles_after_a_region_that_was_likelier_go_on_where_they_were(at):
    at(0.2, 0.5)
    saved: list[list[Batch]] = []
    (whole,) = solve_tasks([task()], BatchSizer(1), save=lambda found, last: saved.append(list(found)))
    (again,) = solve_tasks([task()], BatchSizer(1), begun=saved[-2])
    assert torch.equal(again.image, whole.image)


def test_a_mask_and_a_map_of_noise_are_halved_too():
    mask = torch.ones(1, 1, 90, 120)
    mask[..., :10, :10] = 0
    levels = torch.full((1, 1, 90, 120), 0.01)
    levels[..., 60:] = 0.05
    half = at_half(task(mask=mask, noise=levels))
    assert half.shape == (3, 45, 60) and half.mask is not None and not half.mask[..., :5, :5].any()
    assert float(half.mask.mean()) == pytest.approx(1 - 25 / (45 * 60))
    assert isinstance(half.noise, torch.Tensor) and half.noise[..., 0, [0, -1]].flatten().tolist() == pytest.approx(
        [0.01, 0.05]
    )
    (found,) = solve_tasks([task(mask=mask, noise=levels, region=None)], BatchSizer(1))
    assert torch.isfinite(found.image).all()


def test_its_work_is_counted():
    both, alone = Work.of([task()]), Work.of([task(half=False)])
    assert both.half > 0 == alone.half and both.region == alone.region and both.whole >= alone.whole
    assert both.total == both.half + both.region + both.whole
    assert at_once(task(region=None)) == 90 * 120


def test_a_mask_that_leaves_nothing_at_half_the_sides_has_no_half():
    mask = torch.zeros(1, 1, 90, 120)
    mask[..., ::2, ::2] = 1
    assert not can_begin_at_half(task(mask=mask))
    mask[..., 1::2, ::2] = 1
    assert can_begin_at_half(task(mask=mask))


def test_which_pictures_can_begin_at_half(monkeypatch):
    assert can_begin_at_half(task())
    assert not can_begin_at_half(task(known={"kernel": torch.ones(1, 1, 5, 5)}))
    # Half the sides are too large as well, and begin at half of these.
    monkeypatch.setattr("ipt.solve.halving.MOST", 45 * 60)
    assert can_begin_at_half(task()) and at_half(task()).half


@pytest.mark.parametrize("seeds", [(3,), (3, 5)])
def test_a_picture_that_is_too_large_for_its_own_size_is_enlarged(seeds, monkeypatch):
    monkeypatch.setattr("ipt.solve.halving.MOST", 70 * 90)
    heard: list[Progress] = []
    whole = task(region=None, seeds=seeds)
    (found,) = solve_tasks([whole], BatchSizer(1), heard.append)
    (half,) = solve_tasks([at_half(whole)], BatchSizer(1))
    assert isinstance(found, FromHalf) and found.scale == 2
    assert found.sizes == half.sizes and found.calls == half.calls
    doubled = F.interpolate(half.image, scale_factor=2, mode="bicubic").clamp(0, 1)
    inside = (..., slice(4, -4), slice(4, -4))
    assert torch.allclose(found.image[inside], doubled[inside], atol=1e-5)
    assert torch.allclose(found.parameters["kernel"].sum((1, 2, 3)), torch.ones(len(seeds)))
    residual = whole.observation.residual(found.operator.forward(found.whole, **found.parameters))
    assert torch.allclose(found.residual, residual.square().mean((1, 2, 3)).sqrt())
    shares = [each.share for each in heard]
    assert shares == sorted(shares) and shares[-1] == 1 and heard[-1].done == heard[-1].total
    assert Work.of([whole]).whole == 0 and at_once(whole) < 90 * 120


def test_a_half_that_is_too_large_is_enlarged_too(monkeypatch):
    monkeypatch.setattr(tasks, "CHOSEN_SIDE", 20)
    monkeypatch.setattr("ipt.solve.halving.MOST", 31 * 38)
    (found,) = solve_tasks([task(region=None)], BatchSizer(1))
    assert isinstance(found, FromHalf) and found.scale == 4
    assert [size[:2] for size in found.sizes] == [(23, 30)] and found.image.shape == (1, 3, 90, 120)


@pytest.mark.parametrize(
    ("wide", "half", "region", "way"),
    [
        (True, 0.9, 0.8, "half"),
        (False, 0.9, 0.8, "region"),
        (False, 0.9, 0.4, "half"),
        (False, 0.3, 0.4, "region"),
    ],
)
def test_a_narrow_blur_leaves_detail_that_enlarging_loses(wide, half, region, way, at, monkeypatch):
    monkeypatch.setattr("ipt.solve.halving.MOST", 70 * 90)
    monkeypatch.setattr(Blur, "hides_detail", lambda blur, parameters, scale: wide)
    at(half, region)
    (found,) = solve_tasks([task()], BatchSizer(1))
    assert isinstance(found, FromHalf) == (way == "half")


def test_an_enlarged_result_says_so(monkeypatch):
    monkeypatch.setattr("ipt.solve.halving.MOST", 70 * 90)
    record = solved(blurred(), region="half").details.record
    assert record["half"] is True and record["enlarged"] == 2
    assert "solved at 1/2 of its sides and enlarged" in record["verdict"]


def test_a_prior_that_takes_no_doubled_kernel_has_no_half():
    class Narrow(GaussianPrior):
        def normalization(self, shape):
            if shape[-1] > 8:
                raise IptError("up to 8 x 8")
            return super().normalization(shape)

    def narrow(**given):
        one = task()
        return replace(one, solver=replace(one.solver, priors={**one.solver.priors, "kernel": Narrow()}, **given))

    assert not can_begin_at_half(narrow())
    assert can_begin_at_half(narrow(operator=Blur(8)))


@pytest.mark.parametrize(
    "given",
    [
        {"guidance": "dps"},
        {"border": "circular"},
        {"known": {"kernel": np.ones((1, 5, 5)) / 25}, "prior": {"image": "gaussian"}},
        {"operator": "shake"},
    ],
    ids=["dps", "circular", "known", "shake"],
)
def test_what_cannot_begin_at_half_is_one_clear_message(given):
    with pytest.raises(IptError, match="region=half is for pictures at their own size"):
        solved(blurred(), region="half", **given)


def test_the_command_does_the_same(tmp_path):
    files.write(tmp_path / "a.png", torch.from_numpy(blurred()).permute(2, 0, 1))
    flags = ["--region", "half", "--noise", ".01", "--steps", "6", "--effort", "1", "--set", "operator.kernel_size=9"]
    priors = ["--prior", "gaussian", "--prior", "kernel=gaussian"]
    done = CliRunner().invoke(cli, ["solve", str(tmp_path / "a.png"), "-o", str(tmp_path / "out"), *priors, *flags])
    assert done.exit_code == 0, done.output
    assert "solved at half its sides first" in (tmp_path / "out" / "report.html").read_text("utf-8")


def test_tiles_of_a_picture_with_both_are_usual_ones():
    whole = tiles.tiling_of(task())
    assert [one.half for one in whole.tasks(task())] == [False] * len(list(whole))
