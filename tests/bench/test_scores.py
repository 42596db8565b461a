from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ipt.bench.attempts import Attempt
from ipt.bench.cases import Case, cases_of
from ipt.bench.scores import by_section, columns, scores


@pytest.fixture
def case(tiny) -> Case:
    one = cases_of(tiny)[0]
    return replace(one, parameters={**one.parameters, "tilt": torch.randn(2, 32, 32)})


def test_a_perfect_attempt(case):
    found = scores(Attempt(case.clean, case.parameters), case)
    assert found["ssim"] == pytest.approx(1) and found["drift"] == 0
    assert found["kernel_mse"] == 0 and found["kernel_mnc"] == pytest.approx(1)
    assert found["tilt_error"] == found["tilt_error_registered"] == 0
    assert not {"residual", "calls", "memory", "histograms"} & set(found)


def test_a_tilt_that_is_off_by_a_shift(case):
    tilt = case.parameters["tilt"] + torch.tensor([3.0, 4.0])[:, None, None]
    found = scores(Attempt(case.clean, {"tilt": tilt}), case)
    assert found["tilt_error"] == pytest.approx(5, rel=1e-5)
    assert found["tilt_error_registered"] == pytest.approx(0, abs=1e-5)


def test_what_is_beyond_white_counts_as_white(case):
    white = replace(case, clean=torch.ones(3, 32, 32))
    assert scores(Attempt(1.5 * white.clean, {}), white)["ssim"] == pytest.approx(1)


def test_a_small_picture_has_no_ssim_and_a_parameter_without_a_truth_no_score(case):
    tiny = replace(case, clean=torch.rand(3, 8, 8))
    samples = {"veil": torch.rand(3, 1, 1, 1), "image": torch.rand(3, 3, 8, 8)}
    found = scores(Attempt(tiny.clean + 0.1, {"veil": torch.ones(1, 1, 1)}, samples), tiny)
    assert set(found) == {"psnr", "seconds", "image_coverage_50", "image_coverage_90", "histograms"}
    assert set(found["histograms"]) == {"image"}


# Names


def test_columns_of_any_unknown_have_titles():
    titles = [column.title for column in columns(["seconds", "veil_mnc", "psnr", "veil_mnc_unregistered", "case"])]
    assert titles == ["PSNR, dB", "seconds", "veil MNC", "veil MNC, unregistered"]


def test_sections_without_columns_are_left_out():
    found = by_section(columns(["seconds", "psnr", "veil_mnc"]))
    assert {section: [column.key for column in group] for section, group in found.items()} == {
        "Quality": ["psnr"], "Parameters": ["veil_mnc"], "Cost": ["seconds"],
    }  # fmt: skip


def test_numbers_are_written_in_the_unit_of_the_title():
    (memory,) = columns(["memory"])
    assert memory.title == "peak memory, MiB" and memory.written(3 * 2**20) == "3"
