"""One folder, one set of options: OUT/run.yaml says what its results were made with, and a run that differs is refused.

run.yaml holds the options, as a config file has them, and under "pinned" the versions and the weights. A prior that
each picture has by its own size is in the picture's json, with its weights, and not in run.yaml.
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
"""What may differ: a folder may be moved, be solved on several machines, and no number depends on Python's version."""


def pins(options: SolveOptions, weights: Mapping[str, str]) -> dict[str, Any]:
    """What run.yaml is to hold; weights: hashes of those that all pictures have in common, by unknown."""
    return {**options.plain(), PINNED: {"versions": versions(), "weights": dict(weights)}}


def check(out: Path, wanted: Mapping[str, Any], force: bool) -> None:
    """IptError, with the differences, if `out` was begun with other options, versions or weights; not with `force`."""
    path = out / "run.yaml"
    if force or not path.exists():
        return
    differences = _differences(path, wanted)
    if differences is None:
        raise IptError(f"{path} holds no options of a run; choose another folder (out=), or replace it (force=True)")
    matter = {name: values for name, values in differences.items() if name not in FREE}
    if matter:
        changes = ", ".join(
            f"{name.removeprefix(f'{PINNED}.')} {_text(old)} -> {_text(new)}" for name, (old, new) in matter.items()
        )
        raise IptError(
            f"{out} was begun with other options: {changes}.\n"
            "Choose another folder (out=), or solve all of it again (force=True)."
        )


def is_same(out: Path, wanted: Mapping[str, Any]) -> bool:
    """Whether `out` was begun with the same input, options, versions and weights."""
    differences = _differences(out / "run.yaml", wanted)
    return differences is not None and "input" not in differences and not set(differences) - set(FREE)


def write(out: Path, wanted: Mapping[str, Any]) -> None:
    """Write run.yaml, unless it says so already: shards that start together leave it alone."""
    try:
        same = (out / "run.yaml").read_text(encoding="utf-8") == run_yaml(wanted)
    except (OSError, ValueError):
        same = False
    if not same:
        write_run_yaml(out, wanted)


def _differences(path: Path, wanted: Mapping[str, Any]) -> dict[str, tuple[Any, Any]] | None:
    """What a run.yaml says and what is wanted, by name, where they differ; None: the file holds no options."""
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
