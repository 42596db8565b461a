"""What a solution amounts to: the mean of the draws, what is recorded of it, and that one which diverged is none."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ipt.core.abilities import Assessment
from ipt.core.errors import IptError
from ipt.core.solver import Solution, Solver
from ipt.guidance.proximal import Proximal
from ipt.images.files import Picture
from ipt.operators.blur import Blur
from ipt.priors.analytic import BoxPrior, GaussianPrior
from ipt.solve.prepare import ImageTask, PreparedImage, prepare
from ipt.solve.result import image_result

LEVEL = 0.02


def prepared(**more) -> PreparedImage:
    solver = Solver(Blur(3, "circular"), {"image": GaussianPrior(), "kernel": BoxPrior()}, Proximal())
    pixels = torch.rand(3, 16, 20, generator=torch.Generator().manual_seed(0))
    return prepare(solver, ImageTask(Picture(pixels, depth=16), name="a.png", noise=LEVEL, **more))


def solution(measurement: torch.Tensor, offsets=(0.0,)) -> Solution:
    """Draws off the measurement by constants, with the kernel of a point."""
    image = torch.cat([measurement + off for off in offsets])
    kernel = torch.zeros(len(offsets), 1, 3, 3)
    kernel[..., 1, 1] = 1
    trace = torch.full((4, len(offsets)), LEVEL)
    return Solution(image, image, {"kernel": kernel}, trace[0], trace, [(16, 20, 4)], {"image": 4, "kernel": 4})


def test_several_draws_come_to_their_mean():
    ready = prepared(samples=2)
    result = image_result(ready, solution(ready.sampling.measurement, (LEVEL, 3 * LEVEL)), 1.5)
    torch.testing.assert_close(result.picture.pixels, ready.sampling.measurement[0] + 2 * LEVEL)
    torch.testing.assert_close(result.residual, torch.full((3, 16, 20), -2 * LEVEL))
    assert result.samples.shape == (2, 3, 16, 20) and result.picture.depth == 16
    torch.testing.assert_close(result.spread, torch.full((3, 16, 20), LEVEL * 2**0.5))
    record = result.record
    assert record["residual_inside"] == pytest.approx(2 * LEVEL) and record["verdict"].startswith("does not fit")
    assert record["findings"] == ["the residual is 2.00 times the noise level"]
    assert (record["input"], record["noise_from"], record["seconds"], record["trusted"]) == ("a.png", "given", 1.5, 1.0)
    assert len(record["seeds"]) == 2 and record["seed"] == record["seeds"][0] and record["calls"]["image"] == 4
    assert record["solved_sizes"] == [[16, 20, 4]] and result.mask is None and result.frames == 1
    assert result.trace == pytest.approx([LEVEL] * 4)


def test_one_draw_has_no_spread():
    ready = prepared()
    result = image_result(ready, solution(ready.sampling.measurement), 0.0)
    assert result.samples is None and result.spread is None and result.record["verdict"].startswith("fits too closely")


def test_what_is_not_trusted_has_no_residual():
    mask = torch.ones(1, 16, 20)
    mask[:, :8] = 0
    ready = prepared(mask=mask)
    result = image_result(ready, solution(ready.sampling.measurement, (LEVEL,)), 0.0)
    assert result.residual[:, :8].abs().max() == 0 and result.record["residual_inside"] == pytest.approx(LEVEL)
    assert result.record["trusted"] == pytest.approx(0.5) and torch.equal(result.mask, mask)


@pytest.mark.parametrize(
    ("probability", "doubtful", "share"), [(0.3, "mix", 0.3), (0.5, "mix", 1.0), (0.3, "show", 1.0)]
)
def test_what_is_likely_wrong_is_mixed_with_the_input(probability, doubtful, share):
    ready = prepared(doubtful=doubtful)
    found = replace(solution(ready.sampling.measurement, (LEVEL,)), assessments=[Assessment(probability, "rings")])
    result = image_result(ready, found, 0.0)
    torch.testing.assert_close(result.picture.pixels, ready.sampling.measurement[0] + share * LEVEL)
    # The residual is that of what was found.
    torch.testing.assert_close(result.residual, torch.full((3, 16, 20), -LEVEL))
    assert result.record["share"] == share and ("doubtful=show" in result.record["verdict"]) == (share < 1)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), 1e4])
def test_a_solve_that_diverged_has_no_result(wrong):
    ready = prepared()
    found = solution(ready.sampling.measurement)
    with pytest.raises(IptError, match=r"the solve diverged; try another noise= or another seed="):
        image_result(ready, replace(found, image=found.image * wrong, whole=found.whole * wrong), 0.0)
