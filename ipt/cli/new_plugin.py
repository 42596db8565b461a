"""`ipt new-plugin`: a name and a kind -> a package made from the templates in ipt/plugins/templates."""

from __future__ import annotations

import keyword
import re
import sys
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template

import click

from ipt import __version__
from ipt.core.errors import IptError
from ipt.plugins.component import KINDS
from ipt.plugins.discovery import discover
from ipt.plugins.hookspecs import VERSION

SUMMARIES = {
    "operator": "a white haze of unknown strength",
    "prior": "dark pictures, pixel by pixel",
    "guidance": "a step downhill for every unknown",
    "generator": "square blur kernels",
}


@click.command("new-plugin")
@click.argument("name")
@click.option(
    "--kind", type=click.Choice(list(KINDS)), default="operator", show_default=True, help="Kind of component."
)
def new_plugin(name: str, kind: str) -> None:
    """Write a package with a working plugin called NAME, to start from.

    The package is named after NAME (Veil Lamp: veil-lamp, with the module veil_lamp), the component likewise without a
    leading ipt-. It is written into a new folder of that name in the current one.
    """
    package = normalised(name)
    component = package.removeprefix("ipt-")
    folder = Path(package)
    _check(name, package, kind, component, folder)
    written = contents(package, component, kind)
    for place, text in written.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(text, encoding="utf-8")
    click.echo("\n".join(str(folder / place) for place in written))
    click.echo(f"Next: pip install -e './{folder}[test]' && pytest {folder} && ipt show {kind} {component}", err=True)


def normalised(name: str) -> str:
    """A package's name: lower-case, with a dash for every run of spaces, dots, dashes and underscores (PEP 503).

    Raises IptError: other characters, or a name that no module can have.
    """
    package = re.sub(r"[-_.\s]+", "-", name.strip()).strip("-").lower()
    module = package.replace("-", "_")
    component = package.removeprefix("ipt-")
    if not re.fullmatch(r"[a-z][a-z0-9-]*", component) or keyword.iskeyword(module) or package == "ipt":
        raise IptError(
            f"{name!r} cannot be the name of a package: use letters, digits and dashes, a letter first, "
            f"such as ipt-haze"
        )
    return package


def contents(package: str, component: str, kind: str) -> dict[str, str]:
    """The files of the package, path -> text."""
    module = package.replace("-", "_")
    values = {
        "package": package,
        "module": module,
        "name": component,
        "kind": kind,
        "cls": "".join(word.capitalize() for word in [*component.split("-"), kind]),
        "hook": KINDS[kind],
        "hooks": str(VERSION),
        "summary": SUMMARIES[kind],
        "version": __version__,
    }

    def filled(template: str, **more: str) -> str:
        source = files("ipt.plugins") / "templates" / f"{template}.txt"
        return Template(source.read_text(encoding="utf-8")).substitute(values, **more) if source.is_file() else ""

    return {
        "pyproject.toml": filled("pyproject.toml"),
        "README.md": filled("README.md", usage=filled(f"{kind}/usage.md")),
        f"{module}/__init__.py": filled("__init__.py", more=filled(f"{kind}/__init__.py")).rstrip() + "\n",
        f"{module}/{kind}.py": filled(f"{kind}/module.py"),
        f"{module}/py.typed": "",
        "tests/test_contract.py": filled("test_contract.py"),
    }


def _check(name: str, package: str, kind: str, component: str, folder: Path) -> None:
    """IptError where the folder, the module or the component's name is taken."""
    module = package.replace("-", "_")
    if folder.exists():
        raise IptError(f"{folder} is there already; choose another name, or move it away")
    if module in sys.stdlib_module_names or find_spec(module) is not None:
        raise IptError(f"there is a Python module {module} already, which {name!r} would hide; try ipt-{package}")
    owners = discover().owners(kind, component)
    if owners:
        raise IptError(f"{kind} {component!r} is offered by {' and '.join(owners)}; choose another name")
