"""Downloads from the Hugging Face hub into its cache, which continue after an interruption."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit

from ipt.core.errors import IptError

_CHUNK = 1 << 20
"""Bytes that are read together."""
_PATIENCE = 30.0
"""Seconds without a byte after which a connection is given up."""
_ATTEMPTS = 4
"""Successive connections without a byte after which the download fails."""


def sha256(file: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def replace_file(target: Path, write: Callable[[Path], object]) -> None:
    """Write to a file beside the target, and let it take the target's place when it is complete."""
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    try:
        write(partial)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def look_up() -> None:
    """Resolve the hub's address, because without a name server the hub's library would retry for half a minute.

    Nothing is done behind a proxy, or with HF_HUB_OFFLINE.

    Raises:
        OSError: the address cannot be resolved.
    """
    from huggingface_hub import constants

    endpoint = urlsplit(constants.ENDPOINT)
    if not constants.HF_HUB_OFFLINE and not urllib.request.getproxies():
        socket.getaddrinfo(endpoint.hostname, endpoint.port or 443)


def cache_folder() -> Path:
    """The cache of the hub's library."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def download(repository: str, file: str) -> Path:
    """Fetch a file into the cache, continuing an interrupted download, and check its hash; returns its path there.

    Args:
        repository: OWNER/NAME on the hub.
        file: path in the repository.

    Raises:
        IptError: the fetched file is damaged, or the disk is full.
        OSError: the file cannot be fetched; other errors of the transport are raised unchanged.
    """
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url

    if constants.HF_HUB_OFFLINE:
        raise OSError("HF_HUB_OFFLINE is set")
    look_up()
    about = get_hf_file_metadata(hf_hub_url(repository, file))
    if not about.etag or not about.commit_hash or not about.size:
        raise OSError(f"{constants.ENDPOINT} answers, but not as the hub does")
    folder = cache_folder() / f"models--{repository.replace('/', '--')}"
    blob = folder / "blobs" / about.etag
    blob.parent.mkdir(parents=True, exist_ok=True)
    partial = blob.with_name(f"{about.etag}.ipt-partial")
    with _locked(partial):
        _download(about.location, partial, about.size, file)
        if re.fullmatch("[0-9a-f]{64}", about.etag) and sha256(partial) != about.etag:
            partial.unlink()
            raise IptError(
                f"what came for {file} is not what huggingface.co/{repository} promises, and was deleted\n"
                f"run again; if it happens again, something between here and there changes it: give the file yourself"
            )
        os.replace(partial, blob)
    pointer = folder / "snapshots" / about.commit_hash / file
    _link(blob, pointer)
    reference = folder / "refs" / "main"
    reference.parent.mkdir(parents=True, exist_ok=True)
    reference.write_text(about.commit_hash, encoding="utf-8")
    return pointer


def _download(url: str, partial: Path, size: int, name: str) -> None:
    """Append to the file `partial` until it has its full size, over as many connections as it takes."""
    from huggingface_hub.utils import tqdm

    have = partial.stat().st_size if partial.exists() else 0
    if have > size:
        partial.unlink()
        have = 0
    free = shutil.disk_usage(partial.parent).free
    if free < size - have:
        raise IptError(f"{name} needs {size - have:,} bytes in {partial.parent}, which has {free:,}: set HF_HOME")
    failures = 0
    with tqdm(total=size, initial=have, unit="B", unit_scale=True, desc=name) as bar:
        while have < size:
            before = have
            try:
                for length in _pieces(url, partial, have):
                    have += length
                    bar.update(length)
                broken: Exception = OSError(f"the connection ended after {have:,} of {size:,} bytes")
            except HTTPError:
                raise
            except (OSError, HTTPException) as error:
                if isinstance(error, OSError) and error.filename is not None:
                    raise
                broken = error
            failures = 0 if have > before else failures + 1
            if have < size and failures == _ATTEMPTS:
                raise broken
    if have > size:
        partial.unlink()
        raise OSError(f"{have:,} bytes came and {size:,} were promised")


def _pieces(url: str, partial: Path, start: int) -> Iterator[int]:
    """Append what the server sends from byte `start` on, and yield the number of bytes of each piece.

    A server that cannot resume sends the whole file: then the file is truncated, and -start yielded first.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "ipt", "Accept-Encoding": "identity"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:
        resumed = answer.status == 206
        if start and not resumed:
            yield -start
        with partial.open("ab" if resumed else "wb") as file:
            while piece := answer.read(_CHUNK):
                file.write(piece)
                yield len(piece)


@contextmanager
def _locked(partial: Path) -> Iterator[None]:
    """A lock with which one process at a time fetches a file."""
    from huggingface_hub.utils import WeakFileLock

    lock = partial.with_suffix(".ipt-lock")
    with WeakFileLock(lock):
        yield
    with suppress(OSError):
        lock.unlink()


def _link(blob: Path, pointer: Path) -> None:
    """Link the snapshot to the file as the hub's library does, or move the file there where links are impossible."""
    pointer.parent.mkdir(parents=True, exist_ok=True)
    pointer.unlink(missing_ok=True)
    try:
        pointer.symlink_to(os.path.relpath(blob, pointer.parent))
    except OSError:
        os.replace(blob, pointer)
