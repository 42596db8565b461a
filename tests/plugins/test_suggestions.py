"""Suggestions for an unknown name."""

from __future__ import annotations

import pytest

from ipt.plugins.suggestions import advice


@pytest.mark.parametrize(
    ("known", "text"),
    [
        (["dps", "proximal"], "; did you mean 'proximal'? known: dps, proximal"),
        (["dps", "box", "dps"], "; known: dps, box"),
        ([], "; known: none"),
    ],
)
def test_a_near_name_is_suggested_and_all_are_listed_once(known, text):
    assert advice("proximla", known) == text


def test_the_list_has_a_label():
    assert advice("x", ["yes"], "answers") == "; answers: yes"
