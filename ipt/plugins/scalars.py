"""Values as people type them, read alike on the command line and in YAML files.

YAML 1.1, which PyYAML reads, takes `010` for octal, `1:30` for sexagesimal, `2020-01-01` for a date and `1.5e3` for
text. Here whole numbers are decimal, numbers are those of Python's `float` (and `.inf`, `.nan`), and dates are text.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

import yaml

_NOT_READ = ("int", "float", "timestamp", "value")
_WHOLE = re.compile(r"[-+]?[0-9]+$")
_NUMBER = re.compile(
    r"[-+]?(?:(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))$|\.(?:nan|NaN|NAN)$"
)


class _Numbers:
    """Rules for numbers, shared by the loader and by the dumper, which quotes texts that would be read as numbers."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {
        first: [(tag, regexp) for tag, regexp in found if tag.rpartition(":")[2] not in _NOT_READ]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class _Loader(_Numbers, yaml.SafeLoader):
    pass


class _Dumper(_Numbers, yaml.SafeDumper):
    pass


for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver("tag:yaml.org,2002:int", _WHOLE, list("-+0123456789"))
    _kind.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+.0123456789"))
_Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value))


def load_yaml(text: str) -> Any:
    """The value in a YAML text; yaml.YAMLError if it is malformed."""
    return yaml.load(text, _Loader)


def yaml_fault(error: yaml.YAMLError | UnicodeDecodeError) -> str:
    """What is wrong with a text that is no YAML, and where, in one line."""
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start + 1} is not UTF-8"
    if isinstance(error, yaml.reader.ReaderError):
        return f"character {error.position + 1}: {error.reason}"
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return " ".join(str(error).split())
    around = getattr(error, "context_mark", None)
    begun = f" (in what begins in line {around.line + 1})" if around and around.line != mark.line else ""
    problem = " ".join(str(getattr(error, "problem", None) or "it cannot be read").split())
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}{begun}"


def dump_yaml(value: Any) -> str:
    """Plain dictionaries, lists, text and numbers as YAML that `load_yaml` reads back, in the order given."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def scalar(value: Any) -> Any:
    """The value of a typed text, read as a YAML scalar or list.

    Other values, and texts that are no YAML, are returned unchanged. Lists become tuples, as in signatures.
    """
    if isinstance(value, str):
        value = _parsed(value)
    return tuple(scalar(item) for item in value) if isinstance(value, list) else value


def _parsed(text: str) -> Any:
    try:
        value = load_yaml(text)
    except yaml.YAMLError:
        return text
    if value is None:
        # An empty text, or a YAML comment, is a text.
        return None if text.strip() in ("null", "~", "Null", "NULL") else text
    return value if isinstance(value, (bool, int, float, list, dict)) else text
