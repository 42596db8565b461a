"""Values as people type them."""

from __future__ import annotations

import math

import pytest
import yaml

from ipt.plugins.scalars import dump_yaml, load_yaml, scalar


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        (".3", 0.3),
        ("1e-3", 1e-3),
        ("-2E+4", -2e4),
        ("1.5e-3", 1.5e-3),
        ("1.5e3", 1500.0),
        ("1.5e+3", 1500.0),
        ("010", 10),
        ("-08", -8),
        ("[010, 1.5e3]", (10, 1500.0)),
        ("1.", 1.0),
        ("0x10", "0x10"),
        ("0o17", "0o17"),
        ("1_000", "1_000"),
        ("true", True),
        ("null", None),
        ("circular", "circular"),
        ("l1:0.1", "l1:0.1"),
        ("[1, 2]", (1, 2)),
        ("[[1, a], [2, b]]", ((1, "a"), (2, "b"))),
        ("{a: 1}", {"a": 1}),
        ("", ""),
        ("1:30", "1:30"),
        ("2020-01-01", "2020-01-01"),
        ("#3", "#3"),
        ("my #3 file", "my #3 file"),
        ("*.png", "*.png"),
        ("a: b: c", "a: b: c"),
        ("/tmp/x.npz", "/tmp/x.npz"),
        ([1, [2]], (1, (2,))),
        (0.25, 0.25),
    ],
)
def test_scalars(text, value):
    read = scalar(text)
    assert read == value and type(read) is type(value)


def test_infinity_is_a_number():
    assert scalar(".inf") == math.inf
    assert math.isnan(scalar(".nan")) and scalar("-.inf") == -math.inf


def test_a_yaml_text_means_what_a_command_line_does():
    assert load_yaml("a: 010\nb: [1.5e3, '1e3', 2020-01-01, 1:30]\n") == {
        "a": 10,
        "b": [1500.0, "1e3", "2020-01-01", "1:30"],
    }
    with pytest.raises(yaml.YAMLError):
        load_yaml("a: [")


@pytest.mark.parametrize(
    "value", ["010", "1e3", "1.5e3", ".5", "0x10", "true", "null", "1:30", 10, 1e-7, 1e22, math.inf]
)
def test_what_is_written_reads_back(value):
    read = load_yaml(dump_yaml({"a": [value]}))["a"][0]
    assert read == value and type(read) is type(value)
