"""Files of weights that others publish: fetched once into the Hugging Face cache, and checked at every use.

The cache is that of `huggingface_hub`, in its own layout, so that programs share files (HF_HOME, HF_HUB_CACHE and
HF_HUB_OFFLINE are honoured). The library's downloads start again after an interruption; these continue where they
stopped (`ipt.priors.download`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ipt.core.errors import IptError, Lacking, first_line
from ipt.priors.download import cache_folder, download, replace_file

LEDGER = "ipt-sha256.json"
"""A file in the cache with the sha256 of each file at its first use, by repository and file."""


@dataclass(frozen=True)
class Published:
    """A file of a repository on the Hugging Face hub.

    Attributes:
        name: name of the prior.
        repository: OWNER/NAME.
        file: path in the repository.
        size: approximate size in bytes.
        card: content, authors and licence.
        instead: the most similar prior that comes with the package.
    """

    name: str
    repository: str
    file: str
    size: int
    card: str
    instead: str

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
                "faces256",
            ),
            Published(
                "imagenet",
                "deepinv/diffunet",
                "diffusion_openai.pt",
                2_211_000_000,
                "Photographs at 256x256, in colour: OpenAI's unconditional ADM network trained on ImageNet (Dhariwal "
                "and Nichol, arXiv 2105.05233; also called 256x256_diffusion_uncond.pt; MIT licence).",
                "natural",
            ),
        )
    }
)
"""Published files by the name of the prior."""


def cached(item: Published) -> Path | None:
    """The path of the file in the cache, or None where it is not there."""
    import huggingface_hub

    found = huggingface_hub.try_to_load_from_cache(item.repository, item.file, cache_dir=cache_folder())
    return Path(found) if isinstance(found, str) else None


def fetch(item: Published, again: bool = False) -> Path:
    """The path of the file in the cache, after fetching it with a progress bar if need be.

    An interrupted download is continued. A fetched file is checked against the sha256 that the hub states.

    Args:
        item: the file.
        again: whether to fetch it even if it is in the cache.

    Raises:
        Lacking: the file cannot be fetched.
        IptError: the fetched file is damaged, or the disk is full.
    """
    place = cached(item)
    if place is not None and not again:
        # No server is asked, because the caller checks the file's hash (`verified`).
        return place
    try:
        return download(item.repository, item.file)
    except IptError:
        raise
    # Whatever is raised (no network, a proxy, a file that moved), the user can do the same about it.
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
            raise IptError(f"cannot write {error.filename} ({error.strerror}): make room, or set HF_HOME") from None
        raise Lacking(
            f"could not fetch {item.file} of huggingface.co/{item.repository} ({why(error)})\n"
            f"connect and run again, give a file of such weights: prior={item.name}:PATH, or take what comes with ipt: "
            f"prior={item.instead}"
        ) from error


def verified(item: Published, place: Path, digest: str) -> None:
    """Check a file's sha256 against the hub's, where the cache has it, and against that of its first use.

    Args:
        item: the published file.
        place: its path in the cache.
        digest: its sha256, in hexadecimal.

    Raises:
        IptError: the file has another hash.
    """
    promised = place.resolve().name
    if re.fullmatch("[0-9a-f]{64}", promised) and promised != digest:
        raise IptError(
            f"{place} is damaged (sha256 {digest[:12]}..., the hub's is {promised[:12]}...)\n"
            f"fetch it again: ipt weights get {item.name} --again"
        )
    ledger = cache_folder() / LEDGER
    known = recorded(item)
    if known is None:
        _record(ledger, item, digest)
    elif known != digest:
        raise IptError(
            f"{place} is not the file that was used first (sha256 {digest[:12]}..., was {known[:12]}...)\n"
            f"fetch it again (ipt weights get {item.name} --again), or delete {ledger} if the change is meant"
        )


def recorded(item: Published) -> str | None:
    """The file's sha256 at its first use, or None before that; IptError where the ledger cannot be read."""
    digest = _ledger(cache_folder() / LEDGER).get(item.key)
    return None if digest is None else str(digest)


def why(error: Exception) -> str:
    """The first sentence of an error message of the hub's library, which may be long."""
    return first_line(error).split(". ")[0]


def _ledger(path: Path) -> Mapping[str, Any]:
    """The ledger's hashes, by repository and file; IptError where it cannot be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if not isinstance(found, dict):
            raise ValueError("no table of names and hashes")
    except (OSError, ValueError) as error:
        raise IptError(f"cannot read the weights' hashes in {path} ({error}): fix or delete it") from None
    return found


def _record(path: Path, item: Published, digest: str) -> None:
    """Add the sha256 of a file's first use to the ledger."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({**_ledger(path), item.key: digest}, indent=2) + "\n"
        replace_file(path, lambda file: file.write_text(text, encoding="utf-8"))
    except OSError as error:
        raise IptError(f"cannot keep the weights' hash in {path} ({error}): make it writable, or delete it") from None
