"""Finding plugins. Whatever is wrong with one is written down beside its owner's name, and the others work.

The environment variable IPT_PLUGINS limits which third-party plugins are imported: unset, all; empty, none; "a,b", only
those distributions (or entry points).
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from ipt import __version__
from ipt.plugins import hookspecs
from ipt.plugins.component import KINDS, Component
from ipt.plugins.registry import Entry, Plugin, Registry, one_line
from ipt.plugins.suggestions import advice

GROUP = "ipt"
OWN_DISTRIBUTION = "inverse-problem-toolkit"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_FACTORY = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def discover() -> Registry:
    """The registry as the environment stands now: the package's own components and those of installed plugins."""
    own = EntryPoint("builtins", "ipt.plugins.builtins", GROUP)
    found = [_inspect(own, OWN_DISTRIBUTION, __version__)]
    wanted = _selection()
    met = {_canonical(OWN_DISTRIBUTION)}
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        distribution, version = _owner(point)
        keys = {_canonical(distribution), _canonical(point.name)}
        met |= keys
        if wanted is None or keys & wanted.keys():
            found.append(_inspect(point, distribution, version))
        else:
            found.append((Plugin(point.name, distribution, version, "off", "left out by IPT_PLUGINS"), []))
    for key, name in (wanted or {}).items():
        if key not in met:
            found.append((Plugin(name, name, "", "missing", "named in IPT_PLUGINS but not installed"), []))
    return Registry(
        entries=tuple(entry for _, entries in found for entry in entries),
        plugins=tuple(plugin for plugin, _ in found),
    )


def _selection() -> dict[str, str] | None:
    """Names in IPT_PLUGINS as written, by their canonical form; None where it is unset."""
    text = os.environ.get("IPT_PLUGINS")
    if text is None:
        return None
    return {_canonical(name): name.strip() for name in text.split(",") if name.strip()}


def _canonical(name: str) -> str:
    """Distribution names are equal up to case and the kind of dash (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def _owner(point: EntryPoint) -> tuple[str, str]:
    """Name and version of the distribution; the entry point's own name where its metadata cannot be read."""
    try:
        if point.dist is not None and point.dist.name:
            return point.dist.name, point.dist.version
    except Exception:  # noqa: S110 - metadata comes from anywhere; a plugin without it still has a name
        pass
    return point.name, ""


def _inspect(point: EntryPoint, distribution: str, version: str) -> tuple[Plugin, list[Entry]]:
    """Load one plugin and collect what it offers, and what is wrong with it."""
    entries: list[Entry] = []
    problems: list[str] = []
    # Standard output is for data: what a plugin prints while it loads must not end up in it.
    with contextlib.redirect_stdout(sys.stderr):
        try:
            for kind, offered in _offers(point.load(), point.name):
                problem = offered if isinstance(offered, str) else _fault(kind, offered)
                if problem:
                    problems.append(problem)
                else:
                    entries.append(Entry(kind, offered, distribution))
        except (Exception, SystemExit) as error:
            problems.append(_explained(error, point))
    plugin = Plugin(point.name, distribution, version, "loaded")
    return (replace(plugin, status="broken", reason="; ".join(problems)) if problems else plugin), entries


def _offers(module: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Pairs of a kind and what a plugin's hook yields for it; a string in its place says what is wrong.

    Each plugin has a manager of its own, so that one that raises cannot stop another's hooks.
    """
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    manager.register(module, name)
    kinds = {hook: kind for kind, hook in KINDS.items()}
    callers = {caller.name: caller for caller in manager.get_hookcallers(module) or []}
    for hook in kinds:
        if hook not in callers and hasattr(module, hook):
            yield kinds[hook], f"{hook} is not marked with @ipt.hookimpl, so it is not called"
    if not callers:
        yield "", "it implements no hook of ipt"
    for hook, caller in callers.items():
        if hook not in kinds:
            if not all(implementation.optionalhook for implementation in caller.get_hookimpls()):
                yield "", f"ipt has no hook {hook}{advice(hook, kinds, 'hooks')}"
            continue
        try:
            yield from ((kinds[hook], offered) for offered in _called(hook, caller()))
        except (Exception, SystemExit) as error:
            yield kinds[hook], f"{hook} raised {one_line(error)}"


def _called(hook: str, results: list[Any]) -> Iterator[Component | str]:
    """What a plugin's implementations of one hook returned (pluggy drops None), item by item."""
    if not results:
        yield f"{hook} returned None, not a list of ipt.Component"
    for offered in results:
        if isinstance(offered, (str, Component)) or not isinstance(offered, Iterable):
            yield f"{hook} returned {_described(offered)}, not a list of ipt.Component"
            continue
        for item in offered:
            yield item if isinstance(item, Component) else f"{hook} yielded {_described(item)}, not an ipt.Component"


def _described(value: Any) -> str:
    return f"one {type(value).__name__}" if isinstance(value, Component) else f"a {type(value).__name__}"


def _fault(kind: str, component: Component) -> str:
    """What is wrong with a component, "" for nothing."""
    if not isinstance(component.name, str) or not _NAME.fullmatch(component.name):
        return f"a {kind} is called {component.name!r}: names are lower-case letters, digits, '-', '_' and '.'"
    who = f"{kind} {component.name!r}"
    factory = component.factory
    if isinstance(factory, str):
        if not _FACTORY.fullmatch(factory):
            return f"{who} has the factory {factory!r}, which is not 'module:attribute'"
    elif not callable(factory):
        return f"{who} has a factory that is neither 'module:attribute' nor callable, but a {type(factory).__name__}"
    if not isinstance(component.summary, str) or not isinstance(component.citation, str):
        return f"{who} has a summary or citation that is not text"
    return ""


def _explained(error: BaseException, point: EntryPoint) -> str:
    if isinstance(error, pluggy.PluginValidationError):
        return f"a hook's signature is wrong, hooks take no arguments: {one_line(error)}"
    return f"{point.value} cannot be loaded: {one_line(error)}"
