"""`ipt list`, `ipt show` and `ipt plugins`: the registry of components and plugins as tables or JSON."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ipt.cli.console import data, echo_json, notes
from ipt.cli.main import COMMANDS
from ipt.plugins.citations import readable
from ipt.plugins.component import KINDS
from ipt.plugins.discovery import discover
from ipt.plugins.registry import Entry, Registry
from ipt.plugins.suggestions import advice

if TYPE_CHECKING:
    from ipt.plugins.documentation import Documentation
    from ipt.plugins.options import Option, Signature


def kind_of(value: str) -> str:
    """A kind of component in the singular, from the singular or the plural; click.BadParameter for other words."""
    singular = value if value in KINDS else value.removesuffix("s")
    if singular not in KINDS:
        raise click.BadParameter(f"there is no kind {value!r}{advice(value, KINDS, 'kinds')}")
    return singular


as_json = click.option("--json", "as_json", is_flag=True, help="Write JSON to standard output.")


@click.command("list")
@click.argument("kind", required=False, type=kind_of)
@as_json
def list_components(kind: str | None, as_json: bool) -> None:
    """List all components, or those of one KIND (operator, prior, guidance, generator)."""
    registry = discover(COMMANDS)
    entries = [entry for each in KINDS for entry in registry.of_kind(each) if kind in (None, each)]
    if as_json:
        echo_json([_summary(registry, entry) for entry in entries])
    else:
        rows = [
            (entry.kind, entry.name, f"{entry.component.summary}{registry.conflict(entry)}", entry.owner)
            for entry in entries
        ]
        table(("kind", "name", "summary", "from"), rows)
    _hint_at_broken(registry)


@click.command("show")
@click.argument("kind", type=kind_of)
@click.argument("name")
@as_json
def show_component(kind: str, name: str, as_json: bool) -> None:
    """Explain the component NAME of a KIND (operator, prior, guidance, generator): options, source, model card.

    For an operator also its unknowns, with their shapes for an example size, units, ranges, default priors and
    generators; and its abilities.
    """
    # Imported here, so that `ipt list` starts without the readers of signatures and docstrings.
    from ipt.cli.unknowns import described
    from ipt.plugins.documentation import documentation_of
    from ipt.plugins.options import signature_of

    registry = discover()
    entry = registry.find(kind, name)
    factory = entry.load()
    signature = signature_of(factory)
    found, card = documentation_of(factory), card_of(entry)
    operator = described(name) if kind == "operator" else {}
    if as_json:
        options = [
            {**asdict(option), "default": _plain(option.default), "help": found.options.get(option.name, "")}
            for option in signature.options
        ]
        documented = {"description": found.description, "raises": found.raises, "references": found.references}
        explained = {**documented, "options": options, "open": signature.open, "card": card, **operator}
        echo_json({**_summary(registry, entry), **explained})
        return
    _explain(entry, signature, found)
    if operator:
        _explain_operator(operator)
    if card:
        from rich.markdown import Markdown

        data().print()
        data().print(Markdown(card) if sys.stdout.isatty() else card)


@click.command("plugins")
@as_json
def list_plugins(as_json: bool) -> None:
    """List plugins, and why one was not loaded.

    Each is loaded, broken (with the reason), off (left out by IPT_PLUGINS) or missing (named in IPT_PLUGINS but not
    installed). The seconds are the time to load it.
    """
    registry = discover(COMMANDS)
    if as_json:
        # The faults are in the reason.
        echo_json([{k: v for k, v in asdict(plugin).items() if k != "faults"} for plugin in registry.plugins])
        return
    rows = [
        (plugin.distribution, plugin.version, plugin.status, f"{plugin.seconds:.2f}", plugin.reason)
        for plugin in registry.plugins
    ]
    table(("distribution", "version", "status", "seconds", "reason"), rows)


def card_of(entry: Entry) -> str | None:
    """The model card that ships with a component: weights/NAME/card.md beside the module of its factory."""
    module = sys.modules.get(entry.factory_name.partition(":")[0])
    source = getattr(module, "__file__", None)
    card = Path(source).parent / "weights" / entry.name / "card.md" if source else None
    if card is None or not card.is_file():
        return None
    # Comments in the card are marks for benchmarks/tables.py.
    return re.sub(r"\n<!-- .*? -->\n|<!-- .*? -->", "", card.read_text(encoding="utf-8"))


def _summary(registry: Registry, entry: Entry) -> dict[str, Any]:
    return {
        "kind": entry.kind,
        "name": entry.name,
        "summary": entry.component.summary,
        "owner": entry.owner,
        "factory": entry.factory_name,
        "citation": entry.component.citation,
        "conflict": registry.rivals(entry),
    }


def _explain(entry: Entry, signature: Signature, found: Documentation) -> None:
    """Print a component's summary, source, options and exceptions."""
    console, kind, component = data(), entry.kind, entry.component
    console.print(f"{kind} {entry.name}: {component.summary}")
    console.print(f"from {entry.owner}, {entry.factory_name}")
    if component.citation:
        console.print(f"cite {readable(component.citation)} (BibTeX: ipt cite {entry.name})")
    if found.references:
        console.print(f"after {found.references}")
    console.print(f"\n{found.description}\n" if found.description else "")
    if signature.options:
        console.print(f"Options (--set {kind}.NAME=VALUE)" if kind != "generator" else "Options")
        table(
            ("name", "default", "type", "meaning"), [_option_row(option, found.options) for option in signature.options]
        )
    else:
        console.print("It takes any options." if signature.open else "It takes no options.")
    for error, when in found.raises.items():
        console.print(f"{error}: {when}")


def _explain_operator(operator: Mapping[str, Any]) -> None:
    """Print an operator's unknowns and abilities."""
    from ipt.cli.unknowns import table_of

    console = data()
    if "refusal" in operator:
        why = "depend on its options" if operator["needs"] else "cannot be had"
        console.print(f"\nIts unknowns {why}: {operator['refusal']}", soft_wrap=True, markup=False)
        return
    measurement, image = (tuple(operator[name]) for name in ("measurement", "image"))
    shapes = f"a measurement {measurement} (channels, height, width): an image {image}"
    console.print(f"\nUnknown, of {shapes}, and", soft_wrap=True)
    if operator["unknowns"]:
        columns, *rows = table_of(operator["unknowns"])
        table(columns, rows)
    else:
        console.print("nothing else.")
    if operator["abilities"]:
        console.print("\nAbilities")
        table(("name", "meaning"), list(operator["abilities"].items()))
    else:
        console.print("\nAbilities: none besides its forward model.")


def _option_row(option: Option, helps: Mapping[str, str]) -> tuple[str, ...]:
    default = "(required)" if option.required else repr(option.default)
    return option.name, default, option.type, helps.get(option.name, "")


def _plain(value: Any) -> Any:
    """A default value for JSON; what JSON cannot hold, by its repr."""
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else repr(value)


def table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Print a table: fitted to a terminal, and with one line per row elsewhere."""
    if not sys.stdout.isatty():
        widths = [max(len(row[index]) for row in [columns, *rows]) for index in range(len(columns))]
        for row in [columns, *rows]:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            click.echo("  ".join(cells).rstrip())
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    data().print(table)


def _hint_at_broken(registry: Registry) -> None:
    broken = [plugin.distribution for plugin in registry.plugins if plugin.status == "broken"]
    if broken:
        notes().print(f"Broken: {', '.join(broken)}. `ipt plugins` says why.", style="yellow", soft_wrap=True)
