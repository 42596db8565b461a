"""`Component`, what plugins offer: a named factory, imported when it is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

KINDS: Mapping[str, str] = MappingProxyType(
    {"operator": "ipt_operators", "prior": "ipt_priors", "guidance": "ipt_guidance", "generator": "ipt_generators"}
)
"""The kinds of components that are built by name, and the hook for each."""

COMMAND = "command"
HOOKS: Mapping[str, str] = MappingProxyType({**KINDS, COMMAND: "ipt_commands"})
"""All hooks, by the kind of component that they yield."""


@dataclass(frozen=True)
class Component:
    """An operator, prior, guidance rule, generator or command by name.

    Attributes:
        name: lower-case letters, digits, "-", "_" and ".".
        factory: "module:attribute", imported when the component is built, or a callable. It is called with keyword
            options only and returns the object; that of a command is the `click.Command` itself.
        summary: one line for lists.
        citation: what to cite when it is used: BibTeX entries, or a line of text, best as 'Ann Author, Bob Writer,
            "The Title", CVPR 2026, arXiv 2601.00001'; "" for nothing.
    """

    name: str
    factory: str | Callable[..., Any]
    summary: str
    citation: str = ""
