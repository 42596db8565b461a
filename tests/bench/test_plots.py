"""Plots and the contact sheet, from rows made by hand."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from ipt.bench.plots import contact_sheet_of, plots
from ipt.bench.statistics import summary
from ipt.images import files

from .conftest import ROWS


def test_the_plots_are_whole_and_need_nothing_else():
    text = plots("a <title>", [summary("dps", ROWS, {})], ROWS)
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
    without = contact_sheet_of(tmp_path, ["0", "1"], ["measurement", "dps", "other"])
    np.save(tmp_path / "0.clean.kernel.npy", np.ones((1, 5, 5), np.float32))
    with_kernels = contact_sheet_of(tmp_path, ["0", "1"], ["measurement", "dps", "other"])
    assert without is not None and with_kernels is not None
    assert with_kernels.shape[1] == without.shape[1] and with_kernels.shape[0] > 1.8 * without.shape[0]
    assert contact_sheet_of(tmp_path, ["1"], ["dps"]) is None
