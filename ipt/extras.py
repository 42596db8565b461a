"""Packages that only some components need, imported when one of them is built."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from ipt.core.errors import IptError, Lacking, Misuse


def imported(module: str, attribute: str) -> Any:
    """`attribute` of `module`; the package is the module's first word.

    Raises:
        Lacking: the package is not installed; the message has the command that installs it.
        Misuse: it has no such attribute.
        IptError: it cannot be imported.
    """
    package = module.partition(".")[0]
    try:
        importlib.import_module(package)
        return getattr(importlib.import_module(module), attribute)
    except AttributeError:
        raise Misuse(f"there is no {attribute!r} in {module}: check its spelling, or update {package}") from None
    except ModuleNotFoundError as error:
        if error.name == package:
            raise Lacking(f"this needs {package}, which is not installed\npip install {package}") from None
        reason = str(error)
    # A package that does not go with the others installed fails in its own ways.
    except Exception as error:
        lines = [line for line in str(error).splitlines() if line]
        reason = lines[-1][:160] if lines else type(error).__name__
    raise IptError(f"{package} is there but cannot be imported ({reason})\nmend it, or pip install --upgrade {package}")


def chosen(model: str, module: str) -> Any:
    """`model` of `module`, or, written MODULE:ATTRIBUTE, what the user's own module has of that name; IptError."""
    own, colon, attribute = model.rpartition(":")
    if colon and importlib.util.find_spec(own.partition(".")[0]) is None:
        raise Misuse(f"there is no module {own} for {model}: install it, or put its folder on PYTHONPATH")
    return imported(own if colon else module, attribute)
