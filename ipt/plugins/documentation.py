"""The docstring of a factory, parsed for `ipt show`: with sections of Google's, numpydoc's or reST's style."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import docstring_parser
from docstring_parser.attrdoc import add_attribute_docstrings
from docstring_parser.google import DEFAULT_SECTIONS, GoogleParser, Section, SectionType

_REFERENCES = "references"
_GOOGLE = GoogleParser([*DEFAULT_SECTIONS, Section("References", _REFERENCES, SectionType.SINGULAR)])


@dataclass(frozen=True)
class Documentation:
    """The docstring of a factory; of a class merged with those of its bases, its `__init__` and its attributes.

    Attributes:
        description: the text before the sections.
        options: descriptions of arguments and attributes, by name.
        raises: when an exception is raised, by its type.
        references: the section "References".
    """

    description: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    raises: Mapping[str, str] = field(default_factory=dict)
    references: str = ""


def documentation_of(factory: Callable[..., Any]) -> Documentation:
    """The documentation of a factory; a docstring without sections, or with malformed ones, is a description."""
    own, *others = [_parsed(text) for text in _texts(factory)]
    if inspect.isclass(factory):
        # Compiled classes, and those from an interactive session, have no source.
        with suppress(TypeError, SyntaxError):
            add_attribute_docstrings(factory, own)
    options: dict[str, str] = {}
    for found in (own, *others):
        for param in found.params:
            for name in param.arg_name.split(","):
                options.setdefault(name.strip().lstrip("*"), _line(param.description))
    return Documentation(
        description=(own.description or "").strip(),
        options=options,
        raises={each.type_name or "": _line(each.description) for each in own.raises},
        references=_line(next((each.description for each in own.meta if each.args[:1] == [_REFERENCES]), "")),
    )


def _texts(factory: Callable[..., Any]) -> list[str]:
    """The docstrings that may describe options, the factory's own first; of a class also those of its bases."""
    kinds = [kind for kind in factory.__mro__ if kind is not object] if inspect.isclass(factory) else []
    owners = [each for kind in kinds for each in (kind, vars(kind).get("__init__"))] or [factory]
    texts = [inspect.cleandoc(getattr(each, "__doc__", None) or "") for each in owners]
    # A dataclass without a docstring gets its signature as one.
    return ["" if text.startswith(f"{getattr(factory, '__name__', '')}(") else text for text in texts]


def _parsed(text: str) -> docstring_parser.Docstring:
    try:
        found = _GOOGLE.parse(text)
        return found if found.meta else docstring_parser.parse(text)
    except docstring_parser.ParseError:
        plain = docstring_parser.Docstring()
        plain.short_description = text
        return plain


def _line(text: str | None) -> str:
    return " ".join((text or "").split())
