"""The one place where an exception becomes a message on standard error and an exit code.

The codes, of every command:

    0    done
    1    an error: a file, a device, a plugin, a component that refuses a value, a solve that diverged
    2    usage: an unknown name or option, or a value that an option does not take; on the command line, in the
         environment or in a YAML file
    3    finished, with some pictures failed
    130  interrupted

docs/photo.md has the same list.
"""

from __future__ import annotations

import errno
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from ipt.cli.console import notes, printable
from ipt.core.errors import IptError, Misuse
from ipt.plugins.faults import located

DONE, ERROR, USAGE, SOME_FAILED, INTERRUPTED = 0, 1, 2, 3, 130

_SAME = (
    "border change channels clipped cut depth device doubtful effort engine exposure fit force format frames generator "
    "guidance images jpeg known light mask noise operator precision prior recursive reference refine region rotation "
    "samples seed shard size steps streak"
)
_OTHERS = {"out": "-o", "pictures": "--images", "held_out": "--held-out", "linear_light": "--linear-light"}
_OPTIONS = {**{name: f"--{name}" for name in _SAME.split()}, **_OTHERS}
"""The command line's option for each argument of the library that messages name."""
_ARGUMENT = re.compile(rf"\b({'|'.join(_OPTIONS)})=(True\b|[\w:+/]*(?:\.\w+)*)")


def exit_code_of(call: Callable[[], Any]) -> int:
    """Run a command and say how it ended; a whole number that it returns is its exit code."""
    try:
        result = call()
        # If standard output goes to a full disk, this raises.
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of the output has gone, as in `ipt list | head`.
        _drop_output()
        return ERROR
    except (Exception, KeyboardInterrupt) as error:
        return _reported(error)
    return result if isinstance(result, int) and not isinstance(result, bool) else DONE


def _reported(error: BaseException) -> int:
    if isinstance(error, click.UsageError):
        error.show()
        return USAGE
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        # Click turns a KeyboardInterrupt into an Abort.
        _say(" ".join(["Interrupted.", *map(str, (error.__cause__ or error).args)]))
        return INTERRUPTED
    if os.environ.get("IPT_TRACEBACK", "") not in ("", "0"):
        traceback.print_exception(error, file=sys.stderr)
    _say(message_of(error))
    if isinstance(error, OSError):
        _drop_output()
    if isinstance(error, Misuse):
        return USAGE
    return error.exit_code if isinstance(error, click.ClickException) else ERROR


@contextmanager
def resumable() -> Iterator[None]:
    """A context for work that can be continued: the message of a Ctrl-C within it says so."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt("The same command continues from what is done and saved.") from None


def with_options(message: str) -> str:
    """A message with the library's arguments (`fit=crop`, `force=True`) as options (`--fit crop`, `--force`)."""

    def option(found: re.Match[str]) -> str:
        name, value = found.groups()
        return _OPTIONS[name] if value in ("", "True") else f"{_OPTIONS[name]} {value}"

    return _ARGUMENT.sub(option, message)


def message_of(error: BaseException) -> str:
    """The message for an exception, one or two lines: what happened, and what to do next."""
    if isinstance(error, IptError):
        return with_options(str(error))
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, MemoryError) or _is_torch_memory(error):
        return "out of memory\nUse smaller images, fewer at a time, or another device; IPT_TRACEBACK=1 shows where."
    if isinstance(error, OSError):
        return _file_message(error)
    return f"unexpected {located(error)}\nSet IPT_TRACEBACK=1 for the traceback, and report it with that."


def _is_torch_memory(error: BaseException) -> bool:
    # By name and text: this module must not import torch, whose CPU allocator raises a plain RuntimeError.
    return type(error).__name__ == "OutOfMemoryError" or (
        isinstance(error, RuntimeError) and "allocate memory" in str(error)
    )


def _file_message(error: OSError) -> str:
    names = [name for name in (error.filename, error.filename2) if isinstance(name, (str, bytes))]
    where = " -> ".join(os.fsdecode(name) for name in names)
    place = f": {where}" if where else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left on the disk{place}\nFree some space, or choose another place, and run it again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"not permitted{place}\nChoose a place you may read and write, or change its permissions."
    if error.errno == errno.ENOENT:
        return f"no such file or folder{place}\nCheck the path."
    return f"{error.strerror or ' '.join(str(error).split()) or type(error).__name__}{place}"


def _say(message: str) -> None:
    from rich.text import Text

    message = printable(message)
    interrupted = message.startswith("Interrupted.")
    text = Text(message) if interrupted else Text.assemble(("Error: ", "bold red"), message)
    notes().print(text, soft_wrap=True)


def _drop_output() -> None:
    """Replace a standard output that cannot be written, so that Python's flush at exit does not fail again."""
    try:
        sys.stdout.flush()
    except OSError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - it stays open until the process ends
