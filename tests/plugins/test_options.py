"""Options read off a factory, and the values people type."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from ipt.plugins.options import Option, grouped, scalar, signature_of, value_for


class Documented:
    """Something.

    size, width: of the thing, in pixels,
        on two lines. depth: below
        the thing.

    other: not an option. colour: at the end of it.
    """

    def __init__(self, size: int, width: float = 2.0, *, depth: Sequence[int] | None = None, colour="red"):
        self.all = size, width, depth, colour


def test_options_have_type_default_and_help():
    signature = signature_of(Documented)
    assert not signature.open
    assert signature.options == (
        Option("size", "int", None, True, "of the thing, in pixels, on two lines."),
        Option("width", "float", 2.0, False, "of the thing, in pixels, on two lines."),
        Option("depth", "Sequence[int] | None", None, False, "below the thing."),
        Option("colour", "", "red", False, "at the end of it."),
    )


def test_what_a_factory_may_take_besides():
    def anything(first, /, second=1, *rest, **options):
        return first, second, rest, options

    signature = signature_of(anything)
    assert signature.open and signature.names() == ["second"]
    assert signature_of(dict).open


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        (".3", 0.3),
        ("1e-3", 1e-3),
        ("-2E+4", -2e4),
        ("1.5e-3", 1.5e-3),
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


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        ("str", "2024", "2024"),
        ("str", "null", "null"),
        ("str | None", "null", None),
        ("str | os.PathLike | Tensor | None", "~/kernels.npz", "/home/me/kernels.npz"),
        ("str | os.PathLike", "010", "010"),
        ("float | Mapping[str, float]", ".3", 0.3),
        ("int | tuple[int, int] | None", "[5, 7]", (5, 7)),
        ("", "5", 5),
    ],
)
def test_a_text_option_takes_text_as_it_is(type_, text, value, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert value_for(Option("name", type_, None, False, ""), text) == value


def test_dotted_keys_are_grouped_by_their_first_word():
    assert grouped({"a": 1, "a.x": 2, "b.c.d": 3}) == {"a": {"": 1, "x": 2}, "b": {"c.d": 3}}
