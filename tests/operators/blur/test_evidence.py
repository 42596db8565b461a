"""The numbers that tell right solutions of `blur` from wrong ones."""

from __future__ import annotations

import math

import pytest
import torch
from skimage import data

from ipt.core.abilities import Assessable, ability
from ipt.core.observation import Observation
from ipt.operators.blur import Blur
from ipt.operators.blur import evidence as module
from ipt.operators.blur.assessment import probability
from ipt.operators.blur.evidence import evidence, likeness
from ipt.operators.blur.locality import LEAST

MARGIN, SIDE = 4, 64
OPERATOR = Blur(9, "unknown", margin=MARGIN)


def kernel(width):
    """A horizontal line (1, 1, 9, 9)."""
    line = torch.zeros(1, 1, 9, 9)
    line[..., 4, 4 - width // 2 : 5 + width // 2] = 1 / (2 * (width // 2) + 1)
    return line


@pytest.fixture(scope="module")
def picture():
    side = SIDE + 2 * MARGIN
    return (
        torch.from_numpy(data.astronaut()[20 : 20 + 2 * side : 2, 180 : 180 + 2 * side : 2]).permute(2, 0, 1)[None]
        / 255
    )


def observed(picture, width=7, noise=0.01):
    measured = OPERATOR.forward(picture, kernel(width))
    return Observation(measured + noise * torch.randn(measured.shape, generator=torch.Generator().manual_seed(0)),
                       torch.full((1, 1, 1, 1), noise))  # fmt: skip


def smoothed(noisy, level):
    """A denoiser of sorts."""
    return torch.nn.functional.avg_pool2d(noisy, 3, 1, 1)


def numbers(observation, image, found, rivals=None, scale=1):
    residual = observation.residual(OPERATOR.forward(image, found))
    frame = OPERATOR.frame(tuple(image.shape[1:]))
    rivals = found.repeat(3, 1, 1, 1) if rivals is None else rivals
    return {
        name: float(value)
        for name, value in evidence(observation, residual, image, frame, found, rivals, scale, smoothed).items()
    }


def test_of_the_truth_the_residual_is_white_noise(picture):
    found = numbers(observed(picture), picture, kernel(7))
    assert found["residual"] == pytest.approx(0, abs=0.05) and found["residual_low"] == pytest.approx(0, abs=0.2)
    assert abs(found["residual_correlation"]) < 0.05 and abs(found["residual_structure"]) < 0.2
    assert found["agreement"] == pytest.approx(1) and found["rivals_agreement"] == pytest.approx(1)


def test_a_wrong_kernel_leaves_edges_in_the_residual(picture):
    right, wrong = (numbers(observed(picture), picture, kernel(width)) for width in (7, 3))
    assert wrong["residual"] > right["residual"] + 0.5
    assert wrong["residual_structure"] > 0.4 and wrong["residual_correlation"] > 0.15


def test_what_has_not_changed_is_not_sharper(picture):
    observation = observed(picture)
    same = picture.clone()
    same[(..., *OPERATOR.frame(tuple(picture.shape[1:])))] = observation.measurement
    unchanged, sharp = numbers(observation, same, kernel(1)), numbers(observation, picture, kernel(7))
    assert unchanged["sharpening"] == pytest.approx(0, abs=1e-5) and unchanged["unlikeliness"] == pytest.approx(
        0, abs=1e-5
    )
    assert sharp["sharpening"] > 0.2


def test_the_shape_of_a_kernel():
    found = [[float(part) for part in module._shape(kernel(width))] for width in (1, 7, 9)]
    assert found[0][0] == 0 and found[1][0] == pytest.approx(2) and found[2][0] == pytest.approx(math.sqrt(60 / 9))
    # Of nine entries in a line two at each end are in the outer two lines, of seven one.
    assert [part[2] for part in found] == pytest.approx([0, 2 / 7, 4 / 9], abs=1e-6)
    assert found[1][1] == pytest.approx(math.log(7) - 2 * math.log(2.5), abs=1e-4)


def test_ringing_is_seen():
    place = torch.arange(96.0)
    noise = torch.rand(1, 1, 96, 96, generator=torch.Generator().manual_seed(1))
    waves = (0.5 + 0.4 * torch.sin(2 * math.pi * place / 6))[None, None, None].expand(1, 1, 96, 96)
    assert float(module._ringing(waves)) > 0.8 > 0.2 > float(module._ringing(noise))


def test_likeness_is_of_shape_and_not_of_place():
    wide = torch.rand(2, 9, 9, generator=torch.Generator().manual_seed(2))
    moved = torch.nn.functional.pad(wide, (3, 0, 0, 2))
    torch.testing.assert_close(likeness(wide, moved), torch.ones(2))
    assert float(likeness(kernel(9)[0], kernel(9)[0].mT)) == pytest.approx(1 / 9)


def test_a_kernel_agrees_with_itself_in_a_smaller_picture(picture):
    large = torch.zeros(1, 1, 9, 9)
    large[..., 2:6, 2:8] = 1 / 24
    small = torch.zeros(1, 1, 8, 8)
    small[..., 3:5, 3:6] = 1 / 6
    found = numbers(observed(picture), picture, large, torch.cat([small, small.mT]), scale=2)
    assert found["best_agreement"] == pytest.approx(1, abs=1e-5) and found["agreement"] < 0.95
    assert found["rivals_agreement"] == pytest.approx(4 / 6, abs=0.01)


def test_the_probability_rises_with_agreement_and_stays_within_bounds(picture):
    found = numbers(observed(picture), picture, kernel(7))
    values = [probability({**found, "agreement": value, "best_agreement": value}) for value in (0.0, 0.5, 0.9, 1.0)]
    assert values == sorted(values) and 0 < values[0] < values[-1] < 1
    # Nothing far outside speaks for a solution, and a residual of many times the noise against it.
    assert probability({**found, "agreement": 1e9}) == probability({**found, "agreement": 1e3}) < 1
    assert probability({**found, "residual": math.log(40)}) < probability(found) - 0.2
    assert 0 < probability({**found, "residual": math.inf}) < 1e-9


def test_blur_assesses_every_solution_of_a_batch_for_itself(picture):
    image = torch.cat([picture, picture.flip(-1)])
    found = torch.cat([kernel(7), kernel(3)])
    one, two = observed(picture), observed(picture.flip(-1))
    both = Observation(torch.cat([one.measurement, two.measurement]), torch.cat([one.noise, two.noise]))
    rivals = {"kernel": torch.cat([kernel(7), kernel(5), kernel(3), kernel(9)])}
    operator = ability(OPERATOR, Assessable)
    together = operator.assess(both, image, {"kernel": found}, rivals, smoothed)
    for index, observation in enumerate((one, two)):
        own = slice(index, index + 1)
        others = {"kernel": rivals["kernel"][2 * index : 2 * index + 2]}
        (alone,) = operator.assess(observation, image[own], {"kernel": found[own]}, others, smoothed)
        assert alone.probability == pytest.approx(together[index].probability, abs=1e-5)
        assert 0 < alone.probability < 1 and bool(alone.doubt) == (alone.probability < 0.5)
    assert together[0].probability > together[1].probability
    assert operator.assess(both, image, {"kernel": found}, {}, smoothed) == []


@pytest.mark.parametrize("side", [LEAST - 1, 2 * LEAST])
def test_whether_one_kernel_holds_is_asked_of_large_frames_alone(picture, side):
    large = torch.nn.functional.interpolate(picture, (side, side), mode="bilinear")
    rivals = {"kernel": torch.cat([kernel(7), kernel(5)])}
    (found,) = ability(OPERATOR, Assessable).assess(observed(large), large, {"kernel": kernel(7)}, rivals, smoothed)
    assert ("locality" in found.evidence) == (side >= LEAST)
