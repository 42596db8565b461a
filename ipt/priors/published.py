"""Files of weights that others publish: fetched once into the Hugging Face cache, and checked ever after.

The cache is that of `huggingface_hub` (HF_HOME, HF_HUB_CACHE and HF_HUB_OFFLINE are honoured), in its own layout, so
that other programs find the files and these theirs. Its downloads start anew after an interruption; these go on where
they stopped.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ipt.core.errors import IptError, Lacking, first_line
from ipt.priors.download import cache_folder, download

LEDGER = "ipt-sha256.json"
"""In the cache: the sha256 of every file when it was used first, by repository and file."""


@dataclass(frozen=True)
class Published:
    """A file of a repository on the Hugging Face hub.

    Attributes:
        name: of the prior.
        repository: OWNER/NAME.
        file: in it.
        size: about, in bytes.
        card: what it is, whose, on what terms.
        instead: the prior that comes with the package and is the nearest to it.
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
"""By the name of the prior."""


def cached(item: Published) -> Path | None:
    """The file in the cache; None where it is not there."""
    import huggingface_hub

    found = huggingface_hub.try_to_load_from_cache(item.repository, item.file, cache_dir=cache_folder())
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
        return download(item.repository, item.file)
    except IptError:
        raise
    # Whatever the transport raises (no network, a proxy, a file that moved), the ways out are the same.
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
            raise IptError(f"cannot write {error.filename} ({error.strerror}): make room, or set HF_HOME") from None
        raise Lacking(
            f"could not fetch {item.file} of huggingface.co/{item.repository} ({why(error)})\n"
            f"connect and run again, give a file of such weights: prior={item.name}:PATH, or take what comes with ipt: "
            f"prior={item.instead}"
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
    """The sha256 of the file when it was used first; None: it was not. IptError: the ledger cannot be read."""
    digest = _ledger(cache_folder() / LEDGER).get(item.key)
    return None if digest is None else str(digest)


def why(error: Exception) -> str:
    """The first sentence of what the hub's library says, which says much."""
    return first_line(error).split(". ")[0]


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
