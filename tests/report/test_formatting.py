"""Numbers as people read them."""

from __future__ import annotations

import pytest

from ipt.report.formatting import number, number_list


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "\u2014"),
        (3, "3"),
        (123.456, "123.5"),
        (12.345, "12.35"),
        (0.1, "0.100"),
        (-0.5, "-0.500"),
        (1e-5, "1.00e-05"),
    ],
)
def test_three_places_or_so(value, text):
    assert number(value) == text


def test_many_values_are_a_range():
    assert number_list([]) == "" and number_list([1.0, 2.0]) == "1.00, 2.00"
    assert number_list([3.0, 1.0, 2.0, 5.0, 4.0]) == "5 values, 1.00 to 5.00"
