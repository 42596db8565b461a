"""`ipt weights`: list, fetch, locate and verify the files of networks, shipped or published."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import click

from ipt.cli.console import data, echo_json, notes
from ipt.core.errors import IptError, Misuse
from ipt.plugins.discovery import discover
from ipt.plugins.suggestions import advice
from ipt.priors.download import sha256
from ipt.priors.published import PUBLISHED, Published, cached, fetch, recorded, verified


@click.group()
def weights() -> None:
    """List, fetch and verify the weights of networks.

    Published networks are fetched once from the Hugging Face hub into its cache (HF_HOME and HF_HUB_OFFLINE apply). An
    interrupted download is continued.
    """


@weights.command("list")
@click.option("--json", "as_json", is_flag=True, help="Write JSON to standard output.")
def list_weights(as_json: bool) -> None:
    """List the weights that ipt knows, and where they are."""
    rows: list[dict[str, Any]] = [
        {"name": place.name, "bytes": _size(place), "path": str(place), "card": _summary(place.name)}
        for place in _shipped()
    ]
    for item in PUBLISHED.values():
        place = cached(item)
        size = place.stat().st_size if place else item.size
        found = {"name": item.name, "bytes": size, "path": str(place) if place else None, "card": item.card}
        rows.append(found | {"sha256": recorded(item)})
    if as_json:
        echo_json(rows)
        return
    from rich.table import Table

    table = Table("name", "size", "where", "what", box=None, pad_edge=False)
    for row in rows:
        where = "in the package" if "sha256" not in row else "here" if row["path"] else "not here"
        # The table has the first words of the card; --json has all of it.
        what = row["card"].partition(" (")[0]
        table.add_row(row["name"], f"{row['bytes'] / 1e6:,.0f} MB", where, what)
    data().print(table)
    notes().print("ipt weights get NAME fetches what is not here; ipt weights path NAME says where the others are.")


@weights.command()
@click.argument("name")
@click.option("--again", is_flag=True, help="Fetch the weights even if they are here.")
def get(name: str, again: bool) -> None:
    """Fetch published weights, check them and print their path."""
    if name in (place.name for place in _shipped()):
        raise Misuse(f"the weights {name} are included in the package: there is nothing to fetch")
    item = _published(name)
    place = fetch(item, again)
    verified(item, place, sha256(place))
    click.echo(place)


@weights.command()
@click.argument("name")
def path(name: str) -> None:
    """Print the path of weights; an error if they have not been fetched."""
    shipped = {place.name: place for place in _shipped()}
    if name in shipped:
        click.echo(shipped[name])
        return
    place = cached(_published(name, list(shipped)))
    if place is None:
        raise IptError(f"the weights {name} are not here; `ipt weights get {name}` fetches them")
    click.echo(place)


@weights.command()
@click.argument("what", nargs=-1, metavar="[NAME|PATH]...")
def verify(what: tuple[str, ...]) -> None:
    """Verify weights: published ones by the hub's hash and that of the first download, other files by reading them.

    Without a NAME: all published weights that are here. For a file the network and its sha256 are printed.
    """
    names = what or tuple(item.name for item in PUBLISHED.values() if cached(item))
    for name in names:
        if name in PUBLISHED:
            item = PUBLISHED[name]
            place = cached(item)
            if place is None:
                raise IptError(f"the weights {name} are not here; `ipt weights get {name}` fetches them")
            digest = sha256(place)
            verified(item, place, digest)
            click.echo(f"{name}: as it was fetched, sha256 {digest}")
        else:
            shipped = {place.name: place for place in _shipped()}
            click.echo(_described(shipped.get(name, Path(name)), name))
    if not names:
        click.echo("No published weights are here; `ipt weights list` says what there is.")


def _published(name: str, others: list[str] | None = None) -> Published:
    if name not in PUBLISHED:
        names = [*PUBLISHED, *(others or [])]
        raise Misuse(f"no weights are called {name!r}{advice(name, names, 'weights')}")
    return PUBLISHED[name]


def _described(place: Path, name: str) -> str:
    # Reading weights takes torch.
    from ipt.priors.loading import from_weights
    from ipt.priors.weights import read

    found = read(place)
    prior = from_weights(found)
    sizes = " or ".join(f"{side} x {side}" for side in prior.sizes) or f"multiples of {prior.multiple}"
    parameters = sum(value.numel() for value in found.state.values())
    channels = "1 channel" if prior.channels == 1 else f"{prior.channels} channels"
    return f"{name}: a network of {parameters:,} parameters for {channels}, {sizes} px; sha256 {found.sha256}"


def _shipped() -> list[Path]:
    folder = Path(str(files("ipt.priors"))) / "weights"
    return sorted(place for place in folder.iterdir() if (place / "config.json").is_file())


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


def _summary(name: str) -> str:
    registry = discover()
    return registry.find("prior", name).component.summary if registry.has("prior", name) else ""
