"""Exposures that do not show what the others show, or show it worse."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from ipt.core.observation import Observation
from ipt.operators.frames import Frames
from ipt.operators.turbulence import Turbulence
from ipt.operators.turbulence.registration import register
from ipt.operators.turbulence.tilts import TiltKolmogorov

COUNT, SIDE, NOISE = 6, 64, 0.01


@pytest.fixture(scope="module")
def tilts():
    return TiltKolmogorov(1.5).sample(range(COUNT), (2, SIDE, SIDE))


def _scene():
    rough = torch.rand(1, 1, SIDE // 4, SIDE // 4, generator=torch.Generator().manual_seed(1))
    return F.interpolate(rough, (SIDE, SIDE), mode="bicubic").clamp(0, 1)


def _exposures(scenes, tilts):
    seen = Turbulence(3).warp(scenes, tilts)
    return seen + NOISE * torch.randn(seen.shape, generator=torch.Generator().manual_seed(2))


def _error(found, true, frames):
    """Root mean square, in pixels, of the tilts of some frames but for what they have in common, inside."""
    found, true = (one[frames] - one[frames].mean(0) for one in (found, true))
    return float((found - true)[..., 6:-6, 6:-6].square().mean().sqrt())


def test_exposures_that_agree_count_alike(tilts):
    assert (register(_exposures(_scene().expand(COUNT, -1, -1, -1), tilts), NOISE).weights == 1).all()


@pytest.mark.parametrize("kind", ["defocused", "another scene", "blown out"])
def test_an_exposure_that_is_worse_counts_less(tilts, kind):
    scenes = _scene().repeat(COUNT, 1, 1, 1)
    bad, good = 2, [0, 1, 3, 4, 5]
    if kind == "defocused":
        scenes[bad] = F.avg_pool2d(F.pad(scenes[bad], (2,) * 4, mode="reflect"), 5, 1)
    exposures = _exposures(scenes, tilts)
    if kind == "another scene":
        exposures[bad] = exposures[bad].flip(-1)
    if kind == "blown out":
        exposures[bad] = (2 * exposures[bad]).clamp(max=1)
    found = register(exposures, NOISE)
    worst = found.weights[bad].max()
    assert 0 < worst < 0.7 if kind == "defocused" else worst == 0
    assert (found.weights[good] > 0).float().mean() > 0.98 and found.weights[good].max() == 1
    # Nor does it disturb the others' tilts.
    alone = register(exposures[good], NOISE)
    assert _error(found.tilts, tilts, good) < 1.2 * _error(alone.tilts, tilts[good], range(5))
    if kind != "defocused":
        assert not found.tilts[bad].any()


def test_what_moves_in_front_of_the_scene_is_left_out(tilts):
    scenes, place = _scene().repeat(COUNT, 1, 1, 1), torch.zeros(COUNT, 1, SIDE, SIDE)
    for number in range(COUNT):
        place[number, :, 25:37, 4 + 9 * number : 16 + 9 * number] = 1
    scenes = torch.where(place > 0, 1 - scenes.flip(-1), scenes)
    exposures = _exposures(scenes, tilts)
    found, still = register(exposures, NOISE), _exposures(_scene().expand(COUNT, -1, -1, -1), tilts)
    out, there = (found.weights == 0).float(), Turbulence(3).warp(place, tilts)
    assert out[there > 0.9].mean() > 0.85 and out[there < 0.1].mean() < 0.15
    # There the others say what an exposure would show.
    hidden = (there > 0.9).expand_as(still)
    rest = found.exposures - still
    assert rest[hidden].square().mean() < 0.1 * (exposures - still)[hidden].square().mean()


def test_few_exposures_are_not_judged_and_what_was_not_measured_is_filled(tilts):
    exposures = _exposures(_scene().expand(COUNT, -1, -1, -1), tilts)
    seen = torch.ones(COUNT, 1, SIDE, SIDE)
    seen[1, :, 20:40, 20:40] = 0
    holed = torch.where(seen > 0, exposures, 0)
    three = register(torch.cat([holed[:2], holed[2:3].flip(-1)]), NOISE, seen[:3])
    assert torch.equal(three.weights, seen[:3])
    found = register(holed, NOISE, seen)
    assert torch.equal(found.weights, seen)
    hole = seen[1] == 0
    assert (found.exposures[1] - exposures[1])[hole].square().mean() < 0.05 * exposures[1][hole].var()
    # Of one exposure what lies around says it.
    one = register(holed[1:2], NOISE, seen[1:2])
    assert torch.equal(one.scene[~hole], exposures[1][~hole]) and one.scene[hole].min() > exposures[1].min()


def test_the_operator_tells_them_in_the_layout_of_the_measurement(tilts):
    exposures = _exposures(_scene().expand(COUNT, -1, -1, -1), tilts).repeat(1, 3, 1, 1)
    exposures[4] = exposures[4].flip(-1)
    level = torch.full((1, 1, 1, 1), NOISE)
    found = Frames(Turbulence(5), COUNT).reliability(Observation(exposures.flatten(0, 1)[None], level))
    assert found.shape == (1, 3 * COUNT, SIDE, SIDE) and not found[:, 12:15].any() and found[:, :12].all()
