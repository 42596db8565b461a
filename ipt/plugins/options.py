"""The options of a factory, from its signature, and the values that people type for them."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ipt.plugins.scalars import scalar

_NAMED = re.compile(r"[A-Za-z_][\w.]*\s*=")
_SUFFIX = re.compile(r"\.[A-Za-z]\w*$")
_NOT_TEXT = frozenset({"int", "float", "bool", "tuple", "list", "dict", "Sequence", "Mapping", "Any"})


@dataclass(frozen=True)
class Option:
    """One option of a factory.

    Attributes:
        name: of the argument.
        type: the annotation, as text.
        default: None if it is required.
        required: whether it has no default.
    """

    name: str
    type: str
    default: Any
    required: bool


@dataclass(frozen=True)
class Signature:
    """The options of a factory.

    Attributes:
        options: in order.
        open: whether it takes any other options too (**options), so that names cannot be checked.
    """

    options: tuple[Option, ...]
    open: bool = False

    def names(self) -> list[str]:
        """The names of the options."""
        return [option.name for option in self.options]

    def option(self, name: str) -> Option | None:
        """The option of a name, or None."""
        return next((option for option in self.options if option.name == name), None)


def signature_of(factory: Callable[..., Any]) -> Signature:
    """The options that a factory takes by keyword."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        # Some callables of compiled modules have no signature: their options cannot be checked here.
        return Signature((), open=True)
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    options = (
        Option(
            name=p.name,
            type="" if p.annotation is p.empty else _written(p.annotation),
            default=None if p.default is p.empty else p.default,
            required=p.default is p.empty,
        )
        for p in named
    )
    return Signature(tuple(options), open=any(p.kind is p.VAR_KEYWORD for p in parameters))


def value_for(option: Option | None, value: Any) -> Any:
    """The value of an option from a typed text.

    For an option of text or a path the text itself (2024 is a name, and ~ is expanded); else `scalar(value)`.
    """
    words = _words(option) if option else set()
    if isinstance(value, str) and words & {"str", "PathLike", "Path"} and not words & _NOT_TEXT:
        if "None" in words and value == "null":
            return None
        return os.path.expanduser(value) if words & {"PathLike", "Path"} else value
    return scalar(value)


def plain_values(option: Option) -> str:
    """What an option takes, in words, if that is only numbers, or only true and false; else ""."""
    words = _words(option) - {"None", "Optional"}
    if words == {"bool"}:
        return "true or false"
    return "a number" if words and words <= {"int", "float", "Tensor"} else ""


def is_file(option: Option, text: str) -> bool:
    """Whether a text names a file, for an option that takes a path: one that exists, or a name like "a=b.npz"."""
    return bool(_words(option) & {"PathLike", "Path"}) and (bool(_SUFFIX.search(text)) or os.path.exists(text))


def _words(option: Option) -> set[str]:
    return set(re.findall(r"\w+", option.type))


def named_values(argument: str) -> dict[str, str]:
    """Several options in one argument: "low=.5,high=4.5" -> {"low": ".5", "high": "4.5"}; {} for other texts."""
    if not _NAMED.match(argument):
        return {}
    parts = [part.partition("=") for part in re.split(rf",\s*(?={_NAMED.pattern})", argument)]
    return {name.strip(): value.strip() for name, _, value in parts}


def _written(annotation: Any) -> str:
    if isinstance(annotation, str):
        return annotation
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


def grouped(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Dotted keys by their first word: {"a": 1, "b.c": 2} -> {"a": {"": 1}, "b": {"c": 2}}."""
    groups: dict[str, dict[str, Any]] = {}
    for key, value in settings.items():
        head, _, rest = key.partition(".")
        groups.setdefault(head, {})[rest] = value
    return groups


def flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested mappings as one, by dotted name: {"b": {"c": {"d": 2}}} -> {"b.c.d": 2}."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{before}{name}.") if isinstance(value, Mapping) else {f"{before}{name}": value}
    return found
