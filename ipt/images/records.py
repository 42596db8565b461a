"""Records as JSON, options as YAML, and the versions and hashes that a result depends on."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ipt import __version__
from ipt.core.errors import IptError
from ipt.core.prior import Prior
from ipt.images.atomic import atomic
from ipt.plugins.scalars import dump_yaml


def write_run_yaml(out_dir: str | os.PathLike[str], options: Mapping[str, Any]) -> Path:
    """Write OUT/run.yaml, the options of a run in the order given, and return its path."""
    path = Path(out_dir) / "run.yaml"
    with atomic(path) as file:
        file.write(run_yaml(options).encode())
    return path


def run_yaml(options: Mapping[str, Any]) -> str:
    """The text of run.yaml."""
    return dump_yaml(_plain(options))


def read_json(path: Path) -> dict[str, Any]:
    """The record in a JSON file; empty if it cannot be read."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def json_text(record: Mapping[str, Any]) -> str:
    """Standard JSON: tensors, arrays, paths and tuples become plain values; NaN and infinite numbers null."""
    text = json.dumps(_plain(record, finite=True), indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    # Bytes of file names that are not UTF-8 are escaped.
    return text.encode("utf-8", "backslashreplace").decode()


def versions() -> dict[str, str]:
    """The versions of ipt and of the packages that its results depend on."""
    return {
        "ipt": __version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def weight_hashes(priors: Mapping[str, Prior]) -> dict[str, str]:
    """The sha256 of the weights of every prior that has weights, by unknown."""
    hashes = {name: _weights_hash(prior) for name, prior in priors.items()}
    return {name: value for name, value in hashes.items() if value}


def _weights_hash(prior: Prior | None) -> str:
    """The hash of a prior's weights, or of the prior that it wraps; "" if there are no weights."""
    while prior is not None and not hasattr(prior, "weights_hash"):
        prior = getattr(prior, "prior", None)
    return str(getattr(prior, "weights_hash", ""))


def file_hash(path: str | os.PathLike[str]) -> str:
    """The sha256 of a file; IptError where it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise IptError(f"{path} cannot be read ({error.strerror}); check the name and its permissions") from error


def identity(values: Mapping[str, Any]) -> str:
    """A digest of values, 32 hexadecimal digits: equal values have equal digests."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:32]


def _plain(value: Any, finite: bool = False) -> Any:
    """A value as dictionaries, lists, strings, numbers, booleans and None; finite: NaN and infinity become None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item, finite) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, finite) for item in value]
    if isinstance(value, Tensor | np.ndarray | np.generic):
        return _plain(value.tolist(), finite)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) or not finite else None
    if value is None or isinstance(value, str | bool | int):
        return value
    return str(value)
