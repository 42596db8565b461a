"""Summary, table, plots and the sheet, from rows made by hand."""

from __future__ import annotations

import csv
import io
import math
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from ipt.bench.columns import columns
from ipt.bench.plots import plots
from ipt.bench.sheet import sheet
from ipt.bench.summary import mean, summarised
from ipt.bench.table import comma_separated, markdown
from ipt.images import files

ROWS: list[dict[str, Any]] = [
    {"solver": "dps", "case": f"{n}", "picture": "a, b.png", "status": "done", "reason": "", "psnr": 20.0 + n,
     "kernel_mse": 1e-4, "memory": n * 2**20, "histograms": {"kernel": [0.5 + 0.1 * n, 0.5 - 0.1 * n]}}
    for n in range(4)
] + [{"solver": "dps", "case": "4", "picture": "c.png", "status": "failed", "reason": "diverged"}]  # fmt: skip


def test_the_interval_covers_the_mean_as_often_as_it_says():
    numbers = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        value = mean(list(numbers.exponential(size=40)))
        assert value.low is not None and value.high is not None
        hits += value.low < 1 < value.high
    assert 0.86 < hits / 200 < 0.98


def test_a_mean_without_an_interval():
    assert mean([2.0]).low is None and mean([2.0]).mean == 2
    assert mean([2.0, math.inf]).mean == math.inf and mean([2.0, math.inf]).low is None


def test_a_summary_is_of_what_is_done():
    found = summarised("dps", ROWS, {"fid": 12.5})
    assert (found.done, found.failed) == (4, 1)
    assert found.values["psnr"].mean == 21.5 and found.values["psnr"].count == 4
    assert found.values["memory"].mean == 3 * 2**20, "the most, not the mean"
    assert found.values["fid"].mean == 12.5
    assert found.histograms["kernel"] == pytest.approx([0.65, 0.35])
    assert 0 < found.values["kernel_rank_p"].mean < 1 < found.values["kernel_rank_f"].mean
    assert summarised("dps", ROWS[4:], {}).values == {}


def test_columns_of_any_unknown_have_titles():
    titles = [column.title for column in columns(["seconds", "veil_mnc", "psnr", "veil_mnc_unregistered", "case"])]
    assert titles == ["PSNR, dB", "seconds", "veil MNC", "veil MNC, unregistered"]


def test_the_table():
    text = markdown("a title", [summarised("dps", ROWS, {}), summarised("none", ROWS[4:], {})], ["a note"])
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


def test_the_plots_are_whole_and_need_nothing_else():
    text = plots("a <title>", [summarised("dps", ROWS, {})], ROWS)
    root = ElementTree.fromstring(text)
    dots = [float(item.attrib["cx"]) for item in root.iter("{http://www.w3.org/2000/svg}circle")]
    assert len(dots) == 5 and dots[:4] == sorted(dots[:4])
    assert dots[4] == pytest.approx((dots[1] + dots[2]) / 2, abs=0.1), "the mean of four cases"
    assert root.attrib["aria-label"] == "a <title>" and "PSNR, dB, higher is better" in text
    assert "href" not in text and "url(" not in text
    assert len(list(root.iter("{http://www.w3.org/2000/svg}rect"))) == 1 + 2, "the ground and two bars"


def test_the_sheet_shows_each_solver_beside_the_truth(tmp_path):
    for name in ("clean", "measurement", "dps"):
        files.write(tmp_path / f"0.{name}.png", torch.rand(3, 16, 16))
    without = sheet(tmp_path, ["0", "1"], ["measurement", "dps", "other"])
    np.save(tmp_path / "0.clean.kernel.npy", np.ones((1, 5, 5), np.float32))
    with_kernels = sheet(tmp_path, ["0", "1"], ["measurement", "dps", "other"])
    assert without is not None and with_kernels is not None
    assert with_kernels.shape[1] == without.shape[1] and with_kernels.shape[0] > 1.8 * without.shape[0]
    assert sheet(tmp_path, ["1"], ["dps"]) is None
