"""Published networks that are too large to ship: fetched once, kept in the Hugging Face cache, and checked ever
after."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from ipt.core.errors import IptError
from ipt.priors.network import NetworkPrior, from_weights
from ipt.priors.weights import read

REPOSITORY = "deepinv/diffunet"
FILE = "diffusion_ffhq_10m.pt"
LEDGER = "ipt-sha256.json"


def ffhq(path: str | os.PathLike | None = None, device: str = "cpu", precision: str = "fp32") -> NetworkPrior:
    """Faces at 256x256, in colour: the ADM network trained on FFHQ that diffusion posterior sampling uses
    (ffhq_10m.pt).

    path: a local file; None: fetched from huggingface.co/deepinv/diffunet (357 MB), with a progress bar, to the usual
    cache; HF_HUB_OFFLINE and HF_HOME are honoured. What is fetched first is taken on trust; its sha256 is written down
    in the cache, and a file that differs from it later is refused. Raises IptError.
    """
    if path is not None:
        return from_weights(read(path), device, precision)
    file, ledger = _fetched()
    weights = read(file)
    _check(weights.sha256, file, ledger)
    return from_weights(weights, device, precision, name="ffhq")


def _fetched() -> tuple[Path, Path]:
    """The file in the cache, and the ledger of hashes beside it."""
    import huggingface_hub
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    # What is there is checked by its hash, so no server need be asked about it.
    cached = huggingface_hub.try_to_load_from_cache(REPOSITORY, FILE, cache_dir=cache)
    if isinstance(cached, str):
        return Path(cached), cache / LEDGER
    try:
        if not constants.HF_HUB_OFFLINE and not getproxies():
            # Without a name server the download would retry for half a minute.
            socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, 443)
        return Path(huggingface_hub.hf_hub_download(REPOSITORY, FILE, cache_dir=cache)), cache / LEDGER
    # Whatever the transport raises (no network, a proxy, a full disk, a file that moved), the ways out are the same.
    except Exception as error:
        reason = str(error).strip().split("\n")[0].split(". ")[0] or type(error).__name__
        raise IptError(
            f"could not fetch {FILE} of huggingface.co/{REPOSITORY} ({reason})\n"
            f"connect and run again, or give the file: --prior ffhq --set prior.path=FILE"
        ) from error


def _check(found: str, file: Path, ledger: Path) -> None:
    key = f"{REPOSITORY}/{FILE}"
    try:
        known = json.loads(ledger.read_text(encoding="utf-8")) if ledger.exists() else {}
        if key not in known:
            partial = ledger.with_name(f"{ledger.name}.{os.getpid()}.partial")
            partial.write_text(json.dumps({**known, key: found}, indent=2) + "\n", encoding="utf-8")
            os.replace(partial, ledger)
            return
    except (OSError, ValueError, TypeError) as error:
        raise IptError(f"cannot keep the weights' hash in {ledger} ({error}): make it writable, or delete it") from None
    if known[key] != found:
        raise IptError(
            f"{file} is not the file that was fetched first (sha256 {found[:12]}..., was {str(known[key])[:12]}...)\n"
            f"delete it to fetch it again, or delete {ledger} if the change is meant"
        )
