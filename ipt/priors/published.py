"""Files of weights that others publish: fetched once into the Hugging Face cache, and checked ever after.

The cache is that of `huggingface_hub` (HF_HOME, HF_HUB_CACHE and HF_HUB_OFFLINE are honoured), in its own layout, so
that other programs find the files and these theirs. Its downloads start anew after an interruption; these go on where
they stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import socket
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

from ipt.core.errors import IptError, Lacking

LEDGER = "ipt-sha256.json"
"""In the cache: the sha256 of every file when it was used first, by repository and file."""
_CHUNK = 1 << 20
_PATIENCE = 30.0
"""Seconds without a byte after which a server is given up."""
_ATTEMPTS = 4
"""Connections that may break without having brought anything."""


@dataclass(frozen=True)
class Published:
    """A file of a repository on the Hugging Face hub.

    Attributes:
        name: of the prior.
        repository: OWNER/NAME.
        file: in it.
        size: about, in bytes.
        card: what it is, whose, on what terms.
    """

    name: str
    repository: str
    file: str
    size: int
    card: str

    @property
    def key(self) -> str:
        """Repository and file."""
        return f"{self.repository}/{self.file}"


PUBLISHED = MappingProxyType(
    {
        item.name: item
        for item in (
            Published(
                "ffhq",
                "deepinv/diffunet",
                "diffusion_ffhq_10m.pt",
                357_000_000,
                "Faces at 256x256, in colour: the ADM network trained on FFHQ (70,000 photographs, CC BY-NC-SA 4.0) "
                "that diffusion posterior sampling uses (Chung et al., arXiv 2209.14687; also called ffhq_10m.pt).",
            ),
            Published(
                "imagenet",
                "deepinv/diffunet",
                "diffusion_openai.pt",
                2_211_000_000,
                "Photographs at 256x256, in colour: OpenAI's unconditional ADM network trained on ImageNet (Dhariwal "
                "and Nichol, arXiv 2105.05233; also called 256x256_diffusion_uncond.pt; MIT licence).",
            ),
        )
    }
)
"""By the name of the prior."""


def cached(item: Published) -> Path | None:
    """The file in the cache; None where it is not there."""
    import huggingface_hub

    found = huggingface_hub.try_to_load_from_cache(item.repository, item.file, cache_dir=_cache())
    return Path(found) if isinstance(found, str) else None


def fetch(item: Published, again: bool = False) -> Path:
    """The file in the cache, fetched if it is not there, with a bar of progress.

    An interrupted download is continued. What comes is checked against the sha256 that the hub names.

    Args:
        item: what.
        again: fetched in any case.

    Raises:
        Lacking: it cannot be had.
        IptError: what came is damaged, or the disk is full.
    """
    place = cached(item)
    if place is not None and not again:
        # What is there is checked by its hash, so no server need be asked about it.
        return place
    try:
        return _fetched(item)
    except IptError:
        raise
    # Whatever the transport raises (no network, a proxy, a file that moved), the ways out are the same.
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
            raise IptError(f"cannot write {error.filename} ({error.strerror}): make room, or set HF_HOME") from None
        raise Lacking(
            f"could not fetch {item.file} of huggingface.co/{item.repository} ({why(error)})\n"
            f"connect and run again, or give the file: prior={item.name}, with its option path=FILE"
        ) from error


def verified(item: Published, place: Path, digest: str) -> None:
    """Check a file's sha256 against the hub's, where the cache knows it, and what was used first and written down.

    Raises:
        IptError: it is another file.
    """
    promised = place.resolve().name
    if re.fullmatch("[0-9a-f]{64}", promised) and promised != digest:
        raise IptError(
            f"{place} is damaged (sha256 {digest[:12]}..., the hub's is {promised[:12]}...)\n"
            f"fetch it again: ipt weights get {item.name} --again"
        )
    ledger = _cache() / LEDGER
    known = recorded(item)
    if known is None:
        _record(ledger, item, digest)
    elif known != digest:
        raise IptError(
            f"{place} is not the file that was used first (sha256 {digest[:12]}..., was {known[:12]}...)\n"
            f"fetch it again (ipt weights get {item.name} --again), or delete {ledger} if the change is meant"
        )


def recorded(item: Published) -> str | None:
    """The sha256 of the file when it was used first; None: it was not. IptError: the ledger cannot be read."""
    digest = _ledger(_cache() / LEDGER).get(item.key)
    return None if digest is None else str(digest)


def sha256(file: Path) -> str:
    """In hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def look_up() -> None:
    """Ask for the hub's address: without a name server its library would retry for half a minute.

    Behind a proxy, and offline, nobody is asked.

    Raises:
        OSError: there is none.
    """
    from huggingface_hub import constants

    endpoint = urlsplit(constants.ENDPOINT)
    if not constants.HF_HUB_OFFLINE and not urllib.request.getproxies():
        socket.getaddrinfo(endpoint.hostname, endpoint.port or 443)


def why(error: Exception) -> str:
    """The first sentence of what the hub's library says, which says much."""
    return str(error).strip().split("\n")[0].split(". ")[0] or type(error).__name__


def _cache() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _ledger(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if not isinstance(found, dict):
            raise ValueError("no table of names and hashes")
    except (OSError, ValueError) as error:
        raise IptError(f"cannot read the weights' hashes in {path} ({error}): mend or delete it") from None
    return found


def _record(path: Path, item: Published, digest: str) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps({**_ledger(path), item.key: digest}, indent=2) + "\n", encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        raise IptError(f"cannot keep the weights' hash in {path} ({error}): make it writable, or delete it") from None


def _fetched(item: Published) -> Path:
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url

    if constants.HF_HUB_OFFLINE:
        raise OSError("HF_HUB_OFFLINE is set")
    look_up()
    about = get_hf_file_metadata(hf_hub_url(item.repository, item.file))
    if not about.etag or not about.commit_hash or not about.size:
        raise OSError(f"{constants.ENDPOINT} answers, but not as the hub does")
    folder = _cache() / f"models--{item.repository.replace('/', '--')}"
    blob = folder / "blobs" / about.etag
    blob.parent.mkdir(parents=True, exist_ok=True)
    partial = blob.with_name(f"{about.etag}.ipt-partial")
    with _locked(partial):
        _download(about.location, partial, about.size, item)
        if re.fullmatch("[0-9a-f]{64}", about.etag) and sha256(partial) != about.etag:
            partial.unlink()
            raise IptError(
                f"what came for {item.file} is not what huggingface.co/{item.repository} promises, and was deleted\n"
                f"run again; if it happens again, something between here and there changes it: give the file yourself"
            )
        os.replace(partial, blob)
    pointer = folder / "snapshots" / about.commit_hash / item.file
    _link(blob, pointer)
    reference = folder / "refs" / "main"
    reference.parent.mkdir(parents=True, exist_ok=True)
    reference.write_text(about.commit_hash, encoding="utf-8")
    return pointer


def _download(url: str, partial: Path, size: int, item: Published) -> None:
    """Bring `partial` to its full size, from where it stands."""
    from huggingface_hub.utils import tqdm

    have = partial.stat().st_size if partial.exists() else 0
    if have > size:
        partial.unlink()
        have = 0
    free = shutil.disk_usage(partial.parent).free
    if free < size - have:
        raise IptError(f"{item.file} needs {size - have:,} bytes in {partial.parent}, which has {free:,}: set HF_HOME")
    failures = 0
    with tqdm(total=size, initial=have, unit="B", unit_scale=True, desc=item.file) as bar:
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
    """Append what the server sends from byte `start` on; yields lengths, at first below 0 where it sends all again."""
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
    """One process at a time fetches a file: others wait, and find it."""
    from huggingface_hub.utils import WeakFileLock

    lock = partial.with_suffix(".ipt-lock")
    with WeakFileLock(lock):
        yield
    with suppress(OSError):
        lock.unlink()


def _link(blob: Path, pointer: Path) -> None:
    """As the hub's library does: a relative link, or, where the system has none, the file itself."""
    pointer.parent.mkdir(parents=True, exist_ok=True)
    pointer.unlink(missing_ok=True)
    try:
        pointer.symlink_to(os.path.relpath(blob, pointer.parent))
    except OSError:
        os.replace(blob, pointer)
