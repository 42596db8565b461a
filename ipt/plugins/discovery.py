"""Discovery of plugins: entry points -> hooks -> components, in a `Registry`.

A faulty plugin is recorded with its faults, and does not affect the others. The environment variable IPT_PLUGINS limits
which plugins are imported: unset, all; empty, none; "a,b", only those distributions or entry points.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType, ModuleType
from typing import Any

import pluggy

from ipt import __version__
from ipt.plugins import hookspecs
from ipt.plugins.component import COMMAND, HOOKS, Component
from ipt.plugins.faults import one_line
from ipt.plugins.registry import OWN_DISTRIBUTION, Entry, Plugin, Registry, Status
from ipt.plugins.suggestions import advice

GROUP = "ipt"
SLOW = 1.0
"""Seconds of loading from which a plugin is reported as slow, since every `ipt list` waits for it."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_FACTORY = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def discover(commands: Mapping[str, tuple[str, str]] = MappingProxyType({})) -> Registry:
    """The registry of the present environment: ipt's own components and those of installed plugins.

    Args:
        commands: ipt's own commands, name -> ("module:attribute", summary), to be listed with those of plugins.
    """
    own = EntryPoint("builtins", "ipt.plugins.builtins", GROUP)
    own_plugin, own_entries = _inspect(own, OWN_DISTRIBUTION, __version__)
    for name, (factory, summary) in commands.items():
        own_entries.append(Entry(COMMAND, Component(name, factory, summary), OWN_DISTRIBUTION))
    found = [(own_plugin, own_entries)]
    selection = _selection()
    installed = {_canonical(OWN_DISTRIBUTION)}
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        distribution, version = _owner(point)
        keys = {_canonical(distribution), _canonical(point.name)}
        installed |= keys
        if selection is None or keys & selection.keys():
            found.append(_inspect(point, distribution, version))
        else:
            found.append((Plugin(point.name, distribution, version, "off", "left out by IPT_PLUGINS"), []))
    for key, name in (selection or {}).items():
        if key not in installed:
            found.append((Plugin(name, name, "", "missing", "named in IPT_PLUGINS but not installed"), []))
    every = [entry for _, entries in found for entry in entries]
    return Registry(tuple(every), plugins=tuple(_with_clashes(plugin, entries, every) for plugin, entries in found))


def _with_clashes(plugin: Plugin, entries: list[Entry], every: list[Entry]) -> Plugin:
    """A plugin with its name clashes added to its faults; ipt's own names are always ipt's."""
    if plugin.distribution == OWN_DISTRIBUTION:
        return plugin
    clashes = {
        f"{entry.kind} {entry.name!r} is offered by {other.owner} too"
        f"{', whose it stays' if other.owner == OWN_DISTRIBUTION else ''}"
        for entry in entries
        for other in every
        if other is not entry and (other.kind, other.name) == (entry.kind, entry.name)
    }
    return replace(plugin, status="broken", reason=_joined([plugin.reason, *sorted(clashes)])) if clashes else plugin


def _selection() -> dict[str, str] | None:
    """The names in IPT_PLUGINS as written, by their canonical form; None if it is unset."""
    text = os.environ.get("IPT_PLUGINS")
    if text is None:
        return None
    return {_canonical(name): name.strip() for name in text.split(",") if name.strip()}


def _canonical(name: str) -> str:
    """A distribution's name in canonical form (PEP 503): lower-case, with dashes."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def _owner(point: EntryPoint) -> tuple[str, str]:
    """Name and version of an entry point's distribution; the entry point's name if the metadata cannot be read."""
    # Reading broken metadata may raise anything.
    with contextlib.suppress(Exception):
        if point.dist is not None and point.dist.name:
            return point.dist.name, point.dist.version
    return point.name, ""


def _inspect(point: EntryPoint, distribution: str, version: str) -> tuple[Plugin, list[Entry]]:
    """Load one plugin and collect its components and faults."""
    entries: list[Entry] = []
    problems: list[str] = []
    started = time.perf_counter()
    # What a plugin prints while it loads must not mix with data on standard output.
    with contextlib.redirect_stdout(sys.stderr):
        try:
            for kind, offered in _offers(point.load()):
                problem = offered if isinstance(offered, str) else _fault(kind, offered)
                if problem:
                    problems.append(problem)
                else:
                    entries.append(Entry(kind, offered, distribution))
        except (Exception, SystemExit) as error:
            problems.append(f"{point.value} cannot be loaded: {one_line(error)}")
    seconds = time.perf_counter() - started
    slow = f"slow: {seconds:.1f} s to load; name factories as 'module:attribute'" if seconds > SLOW else ""
    status: Status = "broken" if problems else "loaded"
    reason, faults = _joined([*problems, slow]), _joined(problems)
    return Plugin(point.name, distribution, version, status, reason, seconds, faults), entries


def _joined(reasons: Iterable[str]) -> str:
    return "; ".join(filter(None, reasons))


def _offers(module: Any) -> Iterator[tuple[str, Any]]:
    """The components that a plugin's hooks yield, with their kinds; a fault is a string in place of a component."""
    kinds = {hook: kind for kind, hook in HOOKS.items()}
    implemented = {}
    for name in dir(module):
        options = pluggy.PluginManager(GROUP).parse_hookimpl_opts(module, name)
        if options is not None:
            implemented[options["specname"] or name] = getattr(module, name), bool(options["optionalhook"])
    for hook in kinds:
        if hook not in implemented and hasattr(module, hook):
            yield kinds[hook], f"{hook} is not marked with @ipt.hookimpl, so it is not called"
    if not implemented:
        yield "", "it implements no hook of ipt"
    unknown = [hook for hook, (_, optional) in implemented.items() if hook not in kinds and not optional]
    for fault in _version_faults(getattr(module, "IPT_HOOKS", hookspecs.VERSION), unknown):
        yield "", fault
    for hook in [hook for hook in kinds if hook in implemented]:
        try:
            yield from ((kinds[hook], offered) for offered in _called(hook, implemented[hook][0]))
        except pluggy.PluginValidationError:
            taken = inspect.signature(implemented[hook][0])
            yield kinds[hook], f"the signature of {hook} is wrong: hooks take no arguments, this one takes {taken}"
        except (Exception, SystemExit) as error:
            yield kinds[hook], f"{hook} raised {one_line(error)}{_place(error, module)}"


def _place(error: BaseException, module: Any) -> str:
    """The line of a plugin's module that an error comes from, in brackets; "" if it is not known."""
    file = getattr(module, "__file__", None)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f" ({file}, line {lines[-1]})" if lines else ""


def _version_faults(version: Any, unknown: list[str]) -> Iterator[str]:
    """Faults in a plugin's version of the hooks, and its hooks that ipt does not have.

    version: the plugin's IPT_HOOKS. unknown: names of its hooks that ipt does not have.
    """
    if not isinstance(version, int):
        yield f"its IPT_HOOKS is {version!r}, not a whole number"
    elif version > hookspecs.VERSION:
        lacking = f", without {' and '.join(unknown)}" if unknown else ""
        yield (
            f"it was written for version {version} of the hooks, and this ipt {__version__} has version "
            f"{hookspecs.VERSION}{lacking}; update {OWN_DISTRIBUTION}"
        )
        return
    for hook in unknown:
        if hook in hookspecs.REMOVED:
            yield f"{hook} is no longer a hook of ipt: {hookspecs.REMOVED[hook]}"
        else:
            yield f"ipt has no hook {hook}{advice(hook, HOOKS.values(), 'hooks')}"


def _called(hook: str, implementation: Callable[..., Any]) -> Iterator[Component | str]:
    """The items that a plugin's implementation of one hook returns, called by a plugin manager of its own."""
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    alone = ModuleType(hook)
    setattr(alone, hook, implementation)
    manager.register(alone)
    results = getattr(manager.hook, hook)()
    # Pluggy leaves out results that are None.
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
    """The fault of a component, "" for none."""
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
