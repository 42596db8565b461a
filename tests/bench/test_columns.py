"""What the numbers of a benchmark are called."""

from __future__ import annotations

from ipt.bench.columns import by_section, columns


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
