"""The registry: every component by kind and name, and every plugin with its status."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal, cast

from ipt.core.errors import IptError, Misuse
from ipt.plugins.component import HOOKS, Component
from ipt.plugins.faults import one_line
from ipt.plugins.suggestions import advice

OWN_DISTRIBUTION = "inverse-problem-toolkit"
Status = Literal["loaded", "broken", "off", "missing"]


@dataclass(frozen=True)
class Plugin:
    """An entry point that offers components.

    Attributes:
        name: of the entry point.
        distribution: name of its distribution.
        version: of the distribution.
        status: "loaded"; "broken" (its components without faults can be used); "off" (left out by IPT_PLUGINS);
            "missing" (named in IPT_PLUGINS but not installed).
        reason: its faults, or that it is slow.
        seconds: time to load it.
        faults: of the reason, what is wrong with itself: not that other plugins offer its names, or that it is slow.
    """

    name: str
    distribution: str
    version: str
    status: Status
    reason: str = ""
    seconds: float = field(default=0.0, compare=False)
    faults: str = ""


@dataclass(frozen=True)
class Entry:
    """A component, its kind, and the distribution that offers it (`owner`)."""

    kind: str
    component: Component
    owner: str

    @property
    def name(self) -> str:
        """The name of the component."""
        return self.component.name

    @property
    def factory_name(self) -> str:
        """The factory as "module:attribute", also if it is a callable."""
        factory = self.component.factory
        if isinstance(factory, str):
            return factory
        return f"{getattr(factory, '__module__', '?')}:{getattr(factory, '__qualname__', repr(factory))}"

    def load(self) -> Callable[..., Any]:
        """Import the factory; IptError, naming the owner, if that fails."""
        factory = self.component.factory
        if callable(factory):
            return factory
        module, _, attribute = factory.partition(":")
        try:
            found: Any = import_module(module)
            for part in attribute.split("."):
                found = getattr(found, part)
        except (Exception, SystemExit) as error:
            raise IptError(
                f"{self.kind} {self.name!r} of {self.owner} cannot be imported from {factory}: {one_line(error)}\n"
                f"Correct it, where it is yours; else update {self.owner}, or remove it."
            ) from error
        if callable(found):
            return cast("Callable[..., Any]", found)
        raise IptError(
            f"{self.kind} {self.name!r} of {self.owner}: {factory} is not callable\nReport it to its authors."
        )


@dataclass(frozen=True)
class Registry:
    """All components and plugins, in the order of discovery, the package's own first."""

    entries: tuple[Entry, ...]
    plugins: tuple[Plugin, ...]

    def of_kind(self, kind: str) -> list[Entry]:
        """All of a kind."""
        return [entry for entry in self.entries if entry.kind == kind]

    def has(self, kind: str, name: str) -> bool:
        """Whether any plugin offers the name."""
        return any(entry.name == name for entry in self.of_kind(kind))

    def owners(self, kind: str, name: str) -> list[str]:
        """The distributions that offer the name."""
        return [entry.owner for entry in self.of_kind(kind) if entry.name == name]

    def rivals(self, entry: Entry) -> list[str]:
        """The distributions that offer an entry's name, if it cannot be used for that reason; else empty."""
        owners = self.owners(entry.kind, entry.name)
        return owners if len(owners) > 1 and entry.owner != OWN_DISTRIBUTION else []

    def conflict(self, entry: Entry) -> str:
        """A note for lists if an entry cannot be used because others offer its name; else ""."""
        rivals = self.rivals(entry)
        return f" [cannot be used: offered by {' and '.join(rivals)}]" if rivals else ""

    def find(self, kind: str, name: str) -> Entry:
        """The component of a name; if several packages offer it, ipt's own.

        Raises:
            Misuse: There is none; the message has a suggestion and all names.
            IptError: Several plugins offer it.
        """
        if kind not in HOOKS:
            raise Misuse(f"there is no kind of component called {kind!r}{advice(kind, HOOKS, 'kinds')}")
        found = [entry for entry in self.of_kind(kind) if entry.name == name]
        if len(found) == 1 or any(entry.owner == OWN_DISTRIBUTION for entry in found):
            return next((entry for entry in found if entry.owner == OWN_DISTRIBUTION), found[0])
        if found:
            owners = " and ".join(entry.owner for entry in found)
            raise IptError(
                f"{kind} {name!r} is offered by {owners}; which of them is meant is not clear.\n"
                f"Uninstall one of them, or name the plugins to use in IPT_PLUGINS (empty: none but ipt's own)."
            )
        known = [entry.name for entry in self.of_kind(kind)]
        raise Misuse(f"no {kind} is called {name!r}{advice(name, known)}{self.suspects()}")

    def suspects(self) -> str:
        """Lines for a message about an unknown name: the plugins that are not fully loaded, which may offer it."""
        texts = {
            "broken": "Broken, so perhaps it is theirs: {}. `ipt plugins` says why.",
            "off": "Left out by IPT_PLUGINS, so perhaps it is theirs: {}.",
            "missing": "Named in IPT_PLUGINS, but not installed: {}.",
        }
        names = {
            status: ", ".join(plugin.distribution for plugin in self.plugins if plugin.status == status)
            for status in texts
        }
        return "".join(f"\n{text.format(names[status])}" for status, text in texts.items() if names[status])
