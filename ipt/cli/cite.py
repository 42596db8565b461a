"""`ipt cite`: components, or the record of a run, -> registered components -> BibTeX."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import yaml

from ipt.core.errors import IptError, Misuse
from ipt.plugins.citations import bibliography
from ipt.plugins.component import KINDS
from ipt.plugins.discovery import discover
from ipt.plugins.plans import Planner
from ipt.plugins.registry import Entry
from ipt.plugins.scalars import load_yaml
from ipt.plugins.suggestions import advice

_GIVE = "give the folder of `ipt solve`, or a picture's json in it"
_PAIRS = ("prior", "generator", "known", "set")


@click.command()
@click.argument("what", nargs=-1, metavar="OUT|PICTURE.json|NAME...")
def cite(what: tuple[str, ...]) -> None:
    """Print the BibTeX of the components that a run used, and of ipt itself.

    OUT is the folder of a run of `ipt solve` or `ipt simulate`, PICTURE.json the record of one picture in it, NAME a
    component as `ipt list` shows it. Without arguments: of ipt alone.
    """
    # A component goes before a folder of the same name.
    click.echo(bibliography([entry for word in what for entry in _entries(word)]))


def _entries(word: str) -> Iterator[Entry]:
    """The components that a word on the command line stands for."""
    registry = discover()
    named = [registry.find(kind, word) for kind in KINDS if registry.has(kind, word)]
    place = Path(word)
    if named:
        yield from named
    elif place.is_dir():
        for options in _by_prior(_read(place / "run.yaml"), place):
            yield from _used(options, place)
    elif place.exists():
        yield from _used(_options(_read(place)), place)
    else:
        names = [entry.name for kind in KINDS for entry in registry.of_kind(kind)]
        raise Misuse(f"there is no component, folder or record called {word!r}{advice(word, names, 'components')}")


def _read(path: Path) -> dict[str, Any]:
    """A mapping from a file of YAML, or JSON, which is YAML too."""
    try:
        text = path.read_text(encoding="utf-8")
        found = json.loads(text) if path.suffix == ".json" else load_yaml(text)
    except (OSError, ValueError, yaml.YAMLError):
        found = None
    if not isinstance(found, dict):
        trouble = "is not the record of a run" if path.exists() else "does not exist, so this is no folder of a run"
        raise IptError(f"{path} {trouble}; {_GIVE}")
    return found


def _options(record: Mapping[str, Any]) -> dict[str, Any]:
    """The options in a picture's record, {"set.guidance.scale": {"value": ...}}, as run.yaml has them."""
    options: dict[str, Any] = {}
    for name, item in dict(record.get("options") or {}).items():
        value = item.get("value") if isinstance(item, dict) else None
        head, _, rest = name.partition(".")
        if head in _PAIRS:
            options.setdefault(head, {})[rest] = value
        else:
            options[name] = value
    return options


def _by_prior(options: dict[str, Any], place: Path) -> list[dict[str, Any]]:
    """The options of a run; if they name no prior of the image, once for each prior that its pictures had."""
    # This import loads torch, which `ipt cite NAME` does not need.
    from ipt.images.records import read_json

    named = dict(options.get("prior") or {})
    if "generator" in options or "image" in named:
        return [options]
    records = [_options(read_json(path)).get("prior", {}) for path in place.glob("*.json")]
    found = sorted({prior["image"] for prior in records if isinstance(prior.get("image"), str)})
    return [{**options, "prior": {**named, "image": image}} for image in found] or [options]


def _used(options: Mapping[str, Any], place: Path) -> Iterator[Entry]:
    """The components that a run with these options used."""
    if not isinstance(options.get("operator"), str):
        raise IptError(f"{place} is not the record of a run; {_GIVE}")
    if "generator" in options:
        planner = Planner(discover())
        yield from planner.named("operator", options["operator"])
        for name in options["generator"].values():
            yield from planner.named("generator", name)
        return
    # The default priors of an operator's parameters are known once the operator is built.
    from ipt.plugins.building import components

    priors = dict(options.get("prior") or {})
    yield from components(
        options["operator"],
        priors.pop("image", "faces"),
        options.get("guidance"),
        parameters=priors,
        known=tuple(options.get("known") or ()),
        settings=options.get("set") or {},
    )
