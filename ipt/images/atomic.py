"""Files that are written whole or not at all, and output folders that are checked before a run and tidied after it."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ipt.core.errors import IptError
from ipt.images.names import beginning


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a binary file that replaces `path` when the block ends without an error, and is removed otherwise.

    The bytes go to a hidden file in the same folder, which is flushed to the disk and renamed. Ctrl-C is an error, too.

    Raises:
        IptError: The disk is full, or the folder cannot be written to.
    """
    target = Path(path)
    partial = target.with_name(f".{beginning(target.name)}.{secrets.token_hex(4)}.partial")
    try:
        # Not tempfile: its files are readable by their owner alone, and results follow the user's umask.
        with partial.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise write_error(target, error) from error
        raise


def write_error(path: Path, error: OSError) -> IptError:
    """The IptError for an OSError in writing `path`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return IptError(f"{path}: no space left on the disk; free some, or choose another output folder (out=)")
    return IptError(f"{path} cannot be written ({error.strerror or error}); choose another output folder (out=)")


def check_folder(out: str | os.PathLike[str]) -> Path:
    """Make the output folder if it is missing, and test that it can be written to, before a long run begins.

    Raises:
        IptError: It is a file, cannot be made, or cannot be written to.
    """
    folder = Path(out)
    if folder.is_symlink() and not folder.exists():
        raise IptError(f"{folder} is a link that leads nowhere, and the output is a folder; choose another name (out=)")
    if folder.exists() and not folder.is_dir():
        raise IptError(f"{folder} is a file, and the output is a folder; choose another name (out=)")
    probe = folder / f".{secrets.token_hex(4)}.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise write_error(folder, error) from error
    return folder


@contextmanager
def output_folders(*folders: str | os.PathLike[str]) -> Iterator[None]:
    """A context with output folders, made by `check_folder`; folders that it made and that stay empty are removed."""
    with_parents = {path for folder in map(Path, folders) for path in (folder, *folder.parents)}
    made = [path for path in with_parents if not os.path.lexists(path)]
    try:
        for folder in folders:
            check_folder(folder)
        yield
    finally:
        # The deepest first: a parent is empty once its children are gone.
        for path in sorted(made, key=lambda path: len(path.parts), reverse=True):
            with suppress(OSError):
                path.rmdir()


@contextmanager
def undone_on_error() -> Iterator[Callable[[Path], Path]]:
    """A context that removes files on an error or Ctrl-C; it gives a function that registers a path and returns it."""
    paths: list[Path] = []

    def written(path: Path) -> Path:
        paths.append(path)
        return path

    try:
        yield written
    except BaseException:
        for path in paths:
            path.unlink(missing_ok=True)
        raise
