"""What is marked on a picture with a pointer."""

from __future__ import annotations

import numpy as np
import pytest

from ipt.images.marks import Marks


def drawn(tool, *points, size=(100, 60)):
    marks = Marks(size)
    for number, point in enumerate(points):
        marks.draw(tool, point, number == 0)
    return marks


@pytest.mark.parametrize(
    ("corners", "region"),
    [
        (((10, 20), (50, 50)), (10, 20, 40, 30)),
        (((50, 50), (30, 40), (10.4, 19.6)), (10, 20, 40, 30)),
        (((-5, -5), (500, 30)), (0, 0, 100, 30)),
        (((10, 20), (10.2, 50)), None),
        ((), None),
    ],
    ids=["drawn", "backwards", "beyond the edge", "a click", "nothing"],
)
def test_a_region_is_within_the_picture_in_whole_pixels(corners, region):
    assert drawn("region", *corners).region == region


def test_a_mask_is_dark_along_the_strokes_alone():
    marks = drawn("mask", (20, 30), (80, 30))
    marks.draw("mask", (5, 5), True)
    mask = marks.mask()
    assert mask is not None and mask.shape == (60, 100) and mask.dtype == bool
    assert not mask[30, 18:83].any() and not mask[5, 5] and mask[40:].all() and mask[:, 90:].all()
    # Two strokes are two: nothing is drawn from the end of one to the beginning of the next.
    assert mask[18, 45]
    assert drawn("region", (0, 0), (9, 9)).mask() is None


def test_marks_are_shown_at_the_scale_of_what_is_shown_and_cleared():
    marks = drawn("mask", (20, 30), (80, 30))
    marks.draw("region", (10, 20), True)
    marks.draw("region", (50, 50), False)
    shown = marks.svg(0.5)
    assert 'points="10.0,15.0 10.0,15.0 40.0,15.0"' in shown
    assert 'x="5.0" y="10.0" width="20.0" height="15.0"' in shown
    assert marks.clear() == "" == marks.svg(0.5) and marks.region is None and marks.mask() is None
    assert np.array_equal(drawn("mask", (5, 5)).mask(), drawn("mask", (5, 5), (5, 5)).mask())
