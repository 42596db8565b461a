"""Options read off a factory, and the values people type."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ipt.plugins.options import Option, flat, grouped, signature_of, value_for


def documented(size: int, width: float = 2.0, *, depth: Sequence[int] | None = None, colour="red"):
    return size, width, depth, colour


def test_options_have_type_and_default():
    signature = signature_of(documented)
    assert not signature.open
    assert signature.options == (
        Option("size", "int", None, True),
        Option("width", "float", 2.0, False),
        Option("depth", "Sequence[int] | None", None, False),
        Option("colour", "", "red", False),
    )


def test_what_a_factory_may_take_besides():
    def anything(first, /, second=1, *rest, **options):
        return first, second, rest, options

    signature = signature_of(anything)
    assert signature.open and signature.names() == ["second"]
    assert signature_of(dict).open


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
    assert value_for(Option("name", type_, None, False), text) == value


def test_dotted_keys_are_grouped_by_their_first_word():
    assert grouped({"a": 1, "a.x": 2, "b.c.d": 3}) == {"a": {"": 1, "x": 2}, "b": {"c.d": 3}}


def test_nested_keys_are_dotted():
    assert flat({"a": 1, "b": {"c": {"d": 2}, "e": (3,)}, "f": {}}) == {"a": 1, "b.c.d": 2, "b.e": (3,)}
