"""What a plugin hands over: a named, lazily imported factory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "operator": "ipt_operators",
        "prior": "ipt_priors",
        "guidance": "ipt_guidance",
        "generator": "ipt_generators",
    }
)
"""Kinds of component, and the hook that yields each."""


@dataclass(frozen=True)
class Component:
    """An operator, prior, guidance rule or generator that can be asked for by name.

    name: lower-case letters, digits, "-", "_" and ".". factory: "module:attribute", imported when the component is
    built, or a callable; it is called with keyword options only and returns the object. summary: one line for lists.
    citation: what to cite when it is used, "" for nothing.
    """

    name: str
    factory: str | Callable[..., Any]
    summary: str
    citation: str = ""
