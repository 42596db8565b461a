"""Table and CSV, from rows made by hand."""

from __future__ import annotations

import csv
import io

from ipt.bench.report import comma_separated, markdown
from ipt.bench.statistics import summary

from .conftest import ROWS


def test_the_table():
    text = markdown("a title", [summary("dps", ROWS, {}), summary("none", ROWS[4:], {})], ["a note"])
    lines = text.splitlines()
    assert lines[0] == "# a title" and lines[-1] == "- a note"
    assert "| dps    | 4 (1 failed) | 21.50 (20.50 .. 22.50) |" in lines
    assert "## Parameters" in lines and "1.00e-04" in text
    assert not [line for line in lines if line.startswith("| none")], "it has no numbers"


def test_comma_separated_values():
    rows = list(csv.DictReader(io.StringIO(comma_separated(ROWS))))
    assert [row["case"] for row in rows] == list("01234")
    assert rows[1]["psnr"] == "21.0" and rows[1]["picture"] == "a, b.png"
    assert rows[4]["psnr"] == "" and rows[4]["reason"] == "diverged"
