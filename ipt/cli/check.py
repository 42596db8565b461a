"""`ipt check`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ipt.cli import kinds
from ipt.cli.console import data, echo_json, notes
from ipt.cli.errors import DONE, ERROR
from ipt.cli.listing import as_json, kind_of, table
from ipt.cli.options import pairs
from ipt.core.errors import IptError, Misuse
from ipt.plugins.component import KINDS
from ipt.plugins.discovery import discover
from ipt.plugins.plans import Planner
from ipt.plugins.registry import Plugin, Registry
from ipt.plugins.suggestions import advice

if TYPE_CHECKING:
    from ipt.testing.running import Finding


def shape_of(value: str) -> tuple[int, ...]:
    """Channels, height and width from whole numbers with commas; click.BadParameter for anything else."""
    parts = value.split(",")
    if len(parts) != 3 or not all(part.strip().isdecimal() and int(part) for part in parts):
        raise click.BadParameter(f"{value!r} is not CHANNELS,HEIGHT,WIDTH, as in 3,64,64")
    return tuple(int(part) for part in parts)


@click.command()
@click.argument("what", nargs=-1, required=True, metavar="[KIND] NAME|PACKAGE")
@pairs(
    "--set", "settings", kind=kinds.settings, metavar="KIND.OPTION=VALUE", text="An option, also as NAME.OPTION=VALUE."
)
@click.option("--shape", type=shape_of, metavar="C,H,W", help="Of images, or of what a prior or generator is of.")
@click.option("--device", metavar="NAME", help="Where networks run, and what the check `device` tries, as in cuda.")
@click.option("--generator", metavar="NAME", help="Draws samples of what a prior describes, for `conditional-mean`.")
@as_json
def check(
    what: tuple[str, ...],
    settings: Mapping[str, Any],
    shape: tuple[int, ...] | None,
    device: str | None,
    generator: str | None,
    as_json: bool,
) -> int:
    """Check that components keep what their kind promises.

    NAME is a component as `ipt list` shows it; without a KIND, those of every kind that have the name. PACKAGE is an
    installed plugin, by the name of its distribution or entry point: how it loads is checked, and all its components.
    A component that needs an option, a file or a package that is not there is skipped, and so is what relies on a
    promise that is broken. Exit code 1: a promise is broken, or nothing of a NAME could be checked.
    """
    if len(what) > 2:
        raise click.UsageError("name one component or package at a time, as in `ipt check operator blur`")
    registry = discover()
    package, components = _meant(registry, *reversed(what))
    shares = _shares(components, settings)
    # Torch is loaded only now: a mistyped name has been reported already.
    from ipt.plugins.building import build_component
    from ipt.testing.running import BUILDS, component_findings, package_findings

    draws = None if generator is None else build_component("generator", generator)

    def findings() -> Iterator[Finding]:
        if package:
            yield from package_findings(package, registry)
        for (kind, name), share in zip(components, shares, strict=True):
            yield from component_findings(kind, name, share, shape, device, draws)

    found = list(findings())
    broken = [finding for finding in found if finding.status == "broken"]
    if as_json:
        echo_json([{**asdict(finding), "seconds": round(finding.seconds, 3)} for finding in found])
    else:
        rows = [
            (each.component, each.promise, each.status, f"{each.seconds:.2f}", _line(each.reason)) for each in found
        ]
        table(("component", "promise", "result", "seconds", "reason"), rows)
        for each in broken:
            data().print(f"{each.component}, {each.promise}: to mend it, {each.mend}.", soft_wrap=True)
    skipped = sum(finding.status == "skipped" for finding in found)
    kept = len(found) - len(broken) - skipped
    notes().print(f"{kept} kept, {len(broken)} broken, {skipped} skipped.", style="red" if broken else "")
    unmade = [each.component for each in found if (each.promise, each.status) == (BUILDS.name, "skipped")]
    if unmade:
        notes().print(f"Not checked, for want of what they need: {', '.join(unmade)}.", soft_wrap=True)
    return ERROR if broken or len(unmade) == len(found) else DONE


def _meant(registry: Registry, name: str, kind: str | None = None) -> tuple[list[Plugin], list[tuple[str, str]]]:
    """The entry points of a package, and the components to check as (kind, name)."""
    if kind is not None:
        kind = kind_of(kind)
        Planner(registry).named(kind, name)
        return [], [(kind, name)]
    plugins = [plugin for plugin in registry.plugins if name in (plugin.distribution, plugin.name)]
    if plugins:
        owner = plugins[0].distribution
        away = next((plugin for plugin in plugins if plugin.status in ("off", "missing")), None)
        if away:
            raise IptError(f"{name} is not loaded: {away.reason}\nSet IPT_PLUGINS={name}, or unset it.")
        entries = [entry for entry in registry.entries if entry.owner == owner and entry.kind in KINDS]
        # Under a name that is another's, another's would be checked; `names-free` says so.
        return plugins, [(entry.kind, entry.name) for entry in entries if not registry.rivals(entry)]
    kinds = [each for each in KINDS if registry.has(each, name)]
    if not kinds and Path(name, "pyproject.toml").is_file():
        raise IptError(f"{name} is a folder, and no such package is installed: pip install -e {Path(name).absolute()}")
    if not kinds:
        known = [entry.name for entry in registry.entries if entry.kind in KINDS]
        names = [*known, *(plugin.distribution for plugin in registry.plugins)]
        raise Misuse(f"there is no component or plugin called {name!r}{advice(name, names)}{registry.suspects()}")
    return [], [(each, name) for each in kinds]


def _shares(components: Iterable[tuple[str, str]], settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The settings of each component: those that begin with its name, or else with its kind."""
    components = list(components)
    shares: list[dict[str, Any]] = [{} for _ in components]
    for key, value in settings.items():
        head, _, rest = key.partition(".")
        takers = [index for index, (_, name) in enumerate(components) if name == head]
        takers = takers or [index for index, (kind, _) in enumerate(components) if kind == head]
        if not takers or not rest:
            heads = [*dict.fromkeys([*(kind for kind, _ in components), *(name for _, name in components)])]
            raise Misuse(f"nothing is set by {key}{advice(head, heads, 'settings begin with')}")
        for index in takers:
            shares[index][rest] = value
    return shares


def _line(text: str) -> str:
    return " ".join(text.split())
