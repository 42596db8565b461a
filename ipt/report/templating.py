"""Jinja templates; values are escaped, and a missing value is an error."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from ipt.report.formatting import number


def template(name: str, package: str = "ipt.report") -> Template:
    """A template, such as "report.html.jinja", of the folder `templates` of a package (by its dotted name)."""
    return _environment(package).get_template(name)


@cache
def _environment(package: str) -> Environment:
    environment = Environment(
        loader=PackageLoader(package), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters["number"] = number
    environment.filters["px"] = "{:.1f}".format
    return environment
