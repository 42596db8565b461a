"""Errors that a user can cause and mend."""

from __future__ import annotations


class IptError(ValueError):
    """The message is for the user: what happened, which file, option or plugin, and what to do next."""


class Misuse(IptError):
    """What is asked for is written wrongly: a name that there is none of, a value that cannot be, a contradiction."""


class Lacking(IptError):
    """Something cannot be made for want of what is not at hand: an option, weights, an optional package."""


def first_line(error: BaseException) -> str:
    """The first line of what an exception says, or its type."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:160]


def plural(count: int, noun: str) -> str:
    """As in "1 channel" and "3 channels"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
