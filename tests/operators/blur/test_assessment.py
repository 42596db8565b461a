"""How likely a solution of `blur` is right, alone and beside other draws."""

from __future__ import annotations

import math

import pytest
import torch

from ipt.core.abilities import Assessment
from ipt.operators.blur.assessment import _doubt, compared


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"kernel_border": 0.1}, "operator.kernel_size"),
        ({"sharpening": 0.0}, "hardly changed"),
        ({"residual": 1.0, "residual_structure": 0.8}, "mask="),
        ({"ringing": 0.9}, "ringing"),
        ({}, "kernel was not found"),
        ({"locality": 0.5}, "operator=shake"),
    ],
)
def test_doubts_are_said_in_words(changed, words):
    usual = {"kernel_border": 0.0, "sharpening": 0.5, "residual": 0.0, "residual_structure": 0.0, "ringing": 0.1}
    assert words in _doubt({**usual, **changed}, 0.2)
    # Of a kernel that is likely right only that it does not hold everywhere.
    assert bool(_doubt({**usual, **changed}, 0.9)) == ("locality" in changed)


def track(angle):
    """A line (1, 21, 21) of 15 pixels through the centre."""
    places = torch.linspace(-7, 7, 61)
    found = torch.zeros(1, 21, 21)
    turn = math.radians(angle)
    found[0, (10 + places * math.sin(turn)).round().long(), (10 + places * math.cos(turn)).round().long()] = 1
    return found / found.sum()


def judged(angles, alone, radius=0.2, residual=0.2):
    numbers = dict.fromkeys(("kernel_border", "sharpening", "residual_structure", "ringing"), 0.2)
    numbers |= {"kernel_border": 0.0, "kernel_radius": radius, "residual": residual}
    one = Assessment(alone, "the kernel was not found", numbers)
    return compared([one] * len(angles), torch.stack([track(angle) for angle in angles]))


@pytest.mark.parametrize("alone", [0.15, 0.5, 0.85])
def test_draws_that_agree_are_likely_right_and_others_are_not(alone):
    alike, apart = judged((20, 20), alone), judged((20, 110), alone)
    assert all(one.probability > 0.5 and not one.doubt for one in alike)
    assert all(one.probability < 0.5 and one.doubt for one in apart)
    assert all(one.evidence["draws_agreement"] == pytest.approx(1, abs=1e-5) for one in alike)
    assert all(one.evidence["draws_agreement"] < 0.5 for one in apart)


def test_a_draw_needs_one_other_like_it_wherever_it_lies():
    found = judged((20, 110, 20), 0.4)
    assert [one.probability > 0.5 for one in found] == [True, False, True]
    moved = torch.stack([track(20), track(20).roll((2, 3), (-2, -1))])
    numbers = found[0].evidence
    near = compared([Assessment(0.4, "", numbers)] * 2, moved)
    assert near[0].probability == pytest.approx(found[0].probability, abs=1e-4)


def test_what_is_thought_of_a_draw_alone_counts_on():
    chances = [judged((20, 20), alone)[0].probability for alone in (0.0, 0.2, 0.8, 1.0)]
    assert chances == sorted(chances) and 0 < chances[0] < chances[3] < 1


def test_that_narrow_kernels_agree_says_little():
    wide, narrow = (judged((20, 20), 0.15, radius)[0].probability for radius in (0.2, 0.02))
    assert narrow < 0.4 < 0.8 < wide


def test_draws_that_agree_on_what_explains_nothing_are_no_likelier():
    below, above = (judged((20, 20), 0.15, residual=math.log(times))[0].probability for times in (3.2, 3.4))
    assert above == 0.15 and below > 0.8
