"""Names that file systems take, and what of ours fits beside them."""

from __future__ import annotations

import json
import os

import pytest
import yaml

from ipt.images.names import HIDDEN, MOST, beginning, fitting
from ipt.images.records import json_text, run_yaml
from ipt.linalg.random import image_seed

LATIN1 = b"caf\xe9".decode("utf-8", "surrogateescape")


def test_a_short_name_stays_and_a_long_one_is_cut_between_characters():
    assert fitting("a") == "a" and fitting("m" * MOST) == "m" * MOST and fitting(LATIN1) == LATIN1
    for long in ("m" * 245, "\u5e74" * 78, LATIN1 * 60):
        cut = fitting(long)
        assert MOST - 4 <= len(os.fsencode(cut)) <= MOST and long.startswith(cut[:-9]) and cut[-9] == "-"
        assert cut != fitting(long[:-1] + "x") and fitting(long) == cut
    assert len(os.fsencode(beginning("\u5e74" * 78))) == HIDDEN - HIDDEN % 3


def test_bytes_that_are_no_utf8_come_back_from_records():
    assert json.loads(json_text({"input": LATIN1}).encode()) == {"input": LATIN1}
    assert yaml.safe_load(run_yaml({"input": LATIN1}).encode()) == {"input": LATIN1}
    assert image_seed(0, LATIN1) != image_seed(0, "caf")


@pytest.mark.parametrize(("name", "seed"), [("a.png", 1769430935792447780), ("\u5e74.png", 2173508055812345020)])
def test_the_seeds_of_other_names_are_as_ever(name, seed):
    assert image_seed(7, name) == seed
