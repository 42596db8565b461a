"""What the page says of one picture, from its record alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ipt.report.record import OptionRow, option_rows, residual_ratio
from ipt.report.sections import anchor, picture_section


@pytest.mark.parametrize(
    ("record", "ratio"),
    [
        ({"residual": 0.03, "noise": 0.01}, 3),
        ({"residual": 0.03, "residual_inside": 0.02, "noise": 0.01}, 2),
        ({"residual": 0.03, "noise": 0}, None),
        ({"noise": 0.01}, None),
        ({}, None),
    ],
)
def test_the_residual_over_the_noise(record, ratio):
    assert residual_ratio(record) == (None if ratio is None else pytest.approx(ratio))


@pytest.mark.parametrize(("ratio", "verdict"), [(1.0, "good"), (1.5, ""), (2.5, "bad"), (0.4, "bad")])
def test_a_ratio_is_good_near_one(ratio, verdict):
    section = picture_section(Path("nowhere"), "a", {"residual": ratio / 100, "noise": 0.01}, 640)
    (number,) = section.key_numbers
    assert number.label == "residual / noise" and number.verdict == verdict


def test_options_that_all_pictures_have_are_left_out():
    record: dict[str, Any] = {
        "options": {"steps": {"value": 10, "from": "command line"}, "size": {"value": [3, None], "from": "default"}},
        "versions": {"ipt": "1.2.3"},
        "seed": 7,
    }
    assert option_rows(record, {}) == [
        OptionRow("steps", "10", "command line"),
        OptionRow("size", "3, none", "default"),
        OptionRow("versions: ipt", "1.2.3"),
        OptionRow("seed of this picture", "7"),
    ]
    other = {**record, "options": {**record["options"], "steps": {"value": 20, "from": "command line"}}}
    assert option_rows(record, other) == [
        OptionRow("steps", "10", "command line"),
        OptionRow("seed of this picture", "7"),
    ]


def test_an_empty_record_is_a_section_too():
    section = picture_section(Path("nowhere"), "a", {}, 640)
    assert section.curve is None and section.before is None and not section.figures and not section.numbers
    assert section.description == "0 × 0 px · colour · 8 bits"


@pytest.mark.parametrize("stem", ["a b", "ä", 'a"b', "a/b", "a%20b"])
def test_an_anchor_is_safe_in_attributes_and_links(stem):
    assert all(letter.isalnum() or letter in "-_.~" for letter in anchor(stem)) and anchor(stem).isascii()
    assert anchor(stem) != anchor(stem + " ")
