"""The pins of a folder: OUT/run.yaml records what its results were made with, and a run that differs is refused.

run.yaml holds the options, as a config file does, and under "pinned" the versions and the hashes of weights. A default
prior that depends on each picture's size is recorded in the picture's json instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ipt.core.errors import IptError
from ipt.images.records import run_yaml, versions, write_run_yaml
from ipt.plugins.options import flat
from ipt.plugins.scalars import load_yaml
from ipt.solve.options import PINNED, SolveOptions

FREE = ("input", "recursive", "device", f"{PINNED}.versions.python")
"""Entries of run.yaml that may differ between runs into one folder, since no result depends on them."""


def pins(options: SolveOptions, weights: Mapping[str, str]) -> dict[str, Any]:
    """The contents of run.yaml; weights: hashes of the weights that all pictures have in common, by unknown."""
    return {**options.plain(), PINNED: {"versions": versions(), "weights": dict(weights)}}


def check(out: Path, wanted: Mapping[str, Any], force: bool) -> None:
    """Check that a folder was begun with the same options, versions and weights.

    Args:
        out: the folder of the results.
        wanted: the pins of this run.
        force: skip the check.

    Raises:
        IptError: it was begun with others, which the message names.
    """
    path = out / "run.yaml"
    if force or not path.exists():
        return
    differences = _differences(path, wanted)
    if differences is None:
        raise IptError(f"{path} holds no options of a run; choose another folder (out=), or replace it (force=True)")
    changes = [
        f"{name.removeprefix(f'{PINNED}.')} {_text(old)} -> {_text(new)}"
        for name, (old, new) in differences.items()
        if name not in FREE
    ]
    if changes:
        raise IptError(
            f"{out} was begun with other options: {', '.join(changes)}.\n"
            "Choose another folder (out=), or solve all of it again (force=True)."
        )


def is_same(out: Path, wanted: Mapping[str, Any]) -> bool:
    """Whether `out` was begun with the same input, options, versions and weights."""
    differences = _differences(out / "run.yaml", wanted)
    return differences is not None and "input" not in differences and not set(differences) - set(FREE)


def write(out: Path, wanted: Mapping[str, Any]) -> None:
    """Write run.yaml, unless it has these contents already, so that shards that start together do not rewrite it."""
    try:
        same = (out / "run.yaml").read_text(encoding="utf-8") == run_yaml(wanted)
    except (OSError, ValueError):
        same = False
    if not same:
        write_run_yaml(out, wanted)


def _differences(path: Path, wanted: Mapping[str, Any]) -> dict[str, tuple[Any, Any]] | None:
    """The recorded and the wanted value of each entry that differs, by name; None if the file holds no options."""
    try:
        there = load_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    if not isinstance(there, dict):
        return None
    old, new = flat(there), flat(load_yaml(run_yaml(wanted)))
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return {name: (old.get(name), new.get(name)) for name in names}


def _text(value: Any) -> str:
    return "none" if value is None else str(value)[:60]
