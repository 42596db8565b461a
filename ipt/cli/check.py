"""`ipt check`: names -> components -> the contract's checks (`ipt.testing`) -> a table of findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
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
    """Channels, height and width from "3,64,64"; click.BadParameter for anything else."""
    parts = value.split(",")
    if len(parts) != 3 or not all(part.strip().isdecimal() and int(part) for part in parts):
        raise click.BadParameter(f"{value!r} is not CHANNELS,HEIGHT,WIDTH, as in 3,64,64")
    return tuple(int(part) for part in parts)


@click.command()
@click.argument("what", nargs=-1, required=True, metavar="[KIND] NAME|PACKAGE")
@pairs(
    "--set", "settings", kind=kinds.settings, metavar="KIND.OPTION=VALUE", text="An option, also as NAME.OPTION=VALUE."
)
@click.option("--shape", type=shape_of, metavar="C,H,W", help="Shape of images, or of a prior's or generator's values.")
@click.option("--device", metavar="NAME", help="Where networks and the check `device` run, as in cuda.")
@click.option("--generator", metavar="NAME", help="A generator of samples for a prior's check `conditional-mean`.")
@as_json
def check(
    what: tuple[str, ...],
    settings: Mapping[str, Any],
    shape: tuple[int, ...] | None,
    device: str | None,
    generator: str | None,
    as_json: bool,
) -> int:
    """Check that components keep the promises of their kind.

    NAME is a component as `ipt list` shows it; without a KIND, the components of every kind with that name. PACKAGE is
    an installed plugin, by its distribution or entry point: it is loaded, and all its components are checked. A
    component that needs an option, a file or a package that is missing is skipped, and so is a check that relies on a
    broken promise. Exit code 1: a promise is broken, or nothing could be checked.
    """
    if len(what) > 2:
        raise click.UsageError("name one component or package at a time, as in `ipt check operator blur`")
    registry = discover()
    package, components = _to_check(registry, *reversed(what))
    own_settings = _own_settings(components, settings)
    # Torch is loaded only now: a mistyped name has been reported already.
    from ipt.plugins.building import build_component
    from ipt.testing.running import component_findings, package_findings

    for (kind, name), own in zip(components, own_settings, strict=True):
        _check_typed(Planner(registry, device), kind, name, own)
    samples = None if generator is None else build_component("generator", generator)
    findings = list(package_findings(package, registry)) if package else []
    for (kind, name), own in zip(components, own_settings, strict=True):
        findings += component_findings(kind, name, own, shape, device, samples)
    if as_json:
        echo_json([{**asdict(finding), "seconds": round(finding.seconds, 3)} for finding in findings])
    else:
        _print_table(findings)
    return _summarised(findings)


def _check_typed(planner: Planner, kind: str, name: str, settings: Mapping[str, Any]) -> None:
    """Raise Misuse for options that are mistyped, which is no fault of the component."""
    try:
        planner.plan(kind, name, settings, kind)
    except Misuse:
        raise
    except IptError:
        # The check `builds` says what it lacks.
        return


def _print_table(findings: Sequence[Finding]) -> None:
    rows = [(each.component, each.promise, each.status, f"{each.seconds:.2f}", _line(each.reason)) for each in findings]
    table(("component", "promise", "result", "seconds", "reason"), rows)
    for each in findings:
        if each.status == "broken":
            data().print(f"{each.component}, {each.promise}: to fix it, {each.fix}.", soft_wrap=True)


def _summarised(findings: Sequence[Finding]) -> int:
    """Print how many promises are kept on standard error, and return the exit code."""
    from ipt.testing.running import BUILDS

    counts = Counter(finding.status for finding in findings)
    line = f"{counts['ok']} kept, {counts['broken']} broken, {counts['skipped']} skipped."
    notes().print(line, style="red" if counts["broken"] else "")
    unbuilt = [each.component for each in findings if (each.promise, each.status) == (BUILDS.name, "skipped")]
    if unbuilt:
        notes().print(f"Not checked, for want of what they need: {', '.join(unbuilt)}.", soft_wrap=True)
    return ERROR if counts["broken"] or len(unbuilt) == len(findings) else DONE


def _to_check(registry: Registry, name: str, kind: str | None = None) -> tuple[list[Plugin], list[tuple[str, str]]]:
    """The entry points of a package to check (empty for a component), and the components as (kind, name)."""
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
        # A name that another package offers too would build that one; the check `names-free` reports it.
        return plugins, [(entry.kind, entry.name) for entry in entries if not registry.rivals(entry)]
    kinds = [each for each in KINDS if registry.has(each, name)]
    if not kinds and Path(name, "pyproject.toml").is_file():
        raise IptError(f"{name} is a folder, and no such package is installed: pip install -e {Path(name).absolute()}")
    if not kinds:
        known = [entry.name for entry in registry.entries if entry.kind in KINDS]
        names = [*known, *(plugin.distribution for plugin in registry.plugins)]
        raise Misuse(f"there is no component or plugin called {name!r}{advice(name, names)}{registry.suspects()}")
    return [], [(each, name) for each in kinds]


def _own_settings(components: Sequence[tuple[str, str]], settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The settings of each component: those that begin with its name, or else with its kind."""
    own: list[dict[str, Any]] = [{} for _ in components]
    for key, value in settings.items():
        head, _, rest = key.partition(".")
        takers = [index for index, (_, name) in enumerate(components) if name == head]
        takers = takers or [index for index, (kind, _) in enumerate(components) if kind == head]
        if not takers or not rest:
            heads = [*dict.fromkeys([*(kind for kind, _ in components), *(name for _, name in components)])]
            raise Misuse(f"nothing is set by {key}{advice(head, heads, 'settings begin with')}")
        for index in takers:
            own[index][rest] = value
    return own


def _line(text: str) -> str:
    return " ".join(text.split())
