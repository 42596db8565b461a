"""What is read from the docstrings of a factory."""

from __future__ import annotations

import dataclasses

import pytest

from ipt.plugins.documentation import Documentation, documentation_of


class Lens:
    """A lens.

    It is round.

    Args:
        size (int): of the lens, in
            pixels: at most 9.
        width, height: of its mount.

    Raises:
        ValueError: it is too large.

    References:
        Ann Author, "On Lenses" (2026, arXiv 2601.00001).
    """

    def __init__(self, size, width, height):
        self.all = size, width, height


@dataclasses.dataclass
class Coloured(Lens):
    """A lens with a colour.

    Attributes:
        colour: by name.
    """

    colour: str = "red"
    depth: float = 1.0
    """Of the colour, 0..1."""


@dataclasses.dataclass
class Silent:
    size: int = 3


class Late:
    """Documented below."""

    def __init__(self, size):
        """It is made.

        Args:
            size: of it.
        """


def with_fields(size):
    """Of a package in another style.

    :param size: of it
    :raises KeyError: never
    """


def in_numpy_s_style(size):
    """Of a package in another style.

    Parameters
    ----------
    size : int
        Of it.

    References
    ----------
    Ann Author
    """


def malformed(size):
    """It has a section with no colon.

    Args:
        size of it
    """


def test_sections_of_a_class():
    assert documentation_of(Lens) == Documentation(
        description="A lens.\n\nIt is round.",
        options={"size": "of the lens, in pixels: at most 9.", "width": "of its mount.", "height": "of its mount."},
        raises={"ValueError": "it is too large."},
        references='Ann Author, "On Lenses" (2026, arXiv 2601.00001).',
    )


def test_attributes_of_a_dataclass_and_what_it_inherits():
    found = documentation_of(Coloured)
    assert found.description == "A lens with a colour."
    assert found.options["colour"] == "by name." and found.options["depth"] == "Of the colour, 0..1."
    assert found.options["width"] == "of its mount."


@pytest.mark.parametrize(
    ("factory", "found"),
    [
        (with_fields, Documentation("Of a package in another style.", {"size": "of it"}, {"KeyError": "never"})),
        (
            in_numpy_s_style,
            Documentation("Of a package in another style.", {"size": "Of it."}, references="Ann Author"),
        ),
        (Late, Documentation("Documented below.", {"size": "of it."})),
        (malformed, Documentation("It has a section with no colon.\n\nArgs:\n    size of it")),
        (Silent, Documentation()),
        (lambda size: size, Documentation()),
        (dataclasses.make_dataclass("Made", [("size", int)]), Documentation()),
    ],
    ids=["rest", "numpy", "init", "malformed", "dataclass", "lambda", "no source"],
)
def test_other_styles_and_none(factory, found):
    assert documentation_of(factory) == found


def test_compiled_callables_do_not_fail():
    assert documentation_of(dict).options == {}
