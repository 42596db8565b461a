"""Errors that a user can cause and mend."""

from __future__ import annotations


class IptError(ValueError):
    """The message is for the user: what happened, which file, option or plugin, and what to do next."""
