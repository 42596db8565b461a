from __future__ import annotations

import json

import pytest

from ipt.bench.rows import Rows
from ipt.core.errors import IptError


def test_rows_are_found_again_and_later_lines_add_to_them(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = Rows(path)
    rows.add("a", {"solver": "dps", "case": "00001", "digest": "x", "psnr": 20.0})
    rows.add("a", {"lpips": 0.3})
    again = Rows(path)
    assert again["a"] == rows["a"] and again["a"]["psnr"] == 20 and again["a"]["lpips"] == 0.3
    assert "a" in again and "b" not in again
    assert again.last("dps", "00001") == again["a"] and again.last("dps", "00002") is None
    assert again.digest("00001") == "x" and again.digest("00002") is None
    assert len(path.read_text().splitlines()) == 2, "nothing is rewritten"


def test_the_last_row_of_a_case_is_the_one_its_files_belong_to(tmp_path):
    rows = Rows(tmp_path / "rows.jsonl")
    rows.add("a", {"solver": "dps", "case": "1", "digest": "x"})
    rows.add("b", {"solver": "dps", "case": "1", "digest": "x"})
    rows.add("a", {"lpips": 0.3})
    last = rows.last("dps", "1")
    assert last is not None and last["identity"] == "b"


def test_a_line_that_was_cut_short_is_passed_over_and_not_continued(tmp_path):
    path = tmp_path / "rows.jsonl"
    whole = json.dumps({"identity": "a", "psnr": 1})
    path.write_text(f"{whole}\n[1]\n{whole[:9]}", encoding="utf-8")
    rows = Rows(path)
    assert "a" in rows
    rows.add("b", {"psnr": 2})
    rows.add("c", {"psnr": 3})
    assert [identity in Rows(path) for identity in "abc"] == [True] * 3


def test_a_place_that_cannot_be_written(tmp_path):
    with pytest.raises(IptError, match="cannot be written"):
        Rows(tmp_path / "missing" / "rows.jsonl").add("a", {})
