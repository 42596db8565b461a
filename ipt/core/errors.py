"""Errors that a user can cause and correct."""

from __future__ import annotations


class IptError(ValueError):
    """The message is for the user: what happened, which file, option or plugin, and what to do next."""


class Misuse(IptError):
    """A request that is wrong in itself: an unknown name, an impossible value, options that contradict each other."""


class Lacking(IptError):
    """Something that is needed is missing: an option without a default, weights, an optional package."""


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, at most 160 characters, or the name of its type."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:160]


def plural(count: int, noun: str) -> str:
    """A count with its noun: "1 channel", "3 channels"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
