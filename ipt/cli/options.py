"""Options from the command line, the environment or a YAML file, with the origin of each value.

A command with such options (`option`, `pairs`) has `context_settings=ENVIRONMENT` and the option `config`. Precedence,
the variables IPT_NAME and `ctx.get_parameter_source` are click's. Nothing here imports torch, so that help is instant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import click
import yaml
from click.core import ParameterSource

from ipt.core.errors import IptError
from ipt.plugins.run_options import DEFAULT
from ipt.plugins.scalars import load_yaml, yaml_fault
from ipt.plugins.suggestions import advice
from ipt.solve.options import PINNED

ENVIRONMENT = {"auto_envvar_prefix": "IPT"}
COMMAND_LINE = "command line"
_CONFIG, _PAIRS = "ipt.config", "ipt.pairs"
_SOURCES = (ParameterSource.DEFAULT_MAP, ParameterSource.ENVIRONMENT, ParameterSource.COMMANDLINE)
"""From the lowest to the highest precedence."""

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Option(click.Option):
    """An option that a YAML file can give; an error names its origin."""

    def get_error_hint(self, ctx: click.Context | None) -> str:
        hint = super().get_error_hint(ctx)
        found = DEFAULT if ctx is None else origin(ctx, self)
        return hint if found in (DEFAULT, COMMAND_LINE) else f"{hint} (from {found})"


class Paths(click.Argument):
    """Any number of paths; a YAML file may have a single one as text."""

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        several = value is None or isinstance(value, list | tuple | Enum)
        return super().type_cast_value(ctx, value if several else (value,))


class PairsOption(Option):
    """NAME=VALUE pairs, merged over all sources; a source overrides those of lower precedence name by name."""

    def consume_value(self, ctx: click.Context, opts: Mapping[str, Any]) -> tuple[Any, ParameterSource]:
        variable = self.resolve_envvar_value(ctx)
        parts = None if variable is None else [part.strip() for part in variable.split(";") if part.strip()]
        pairs: dict[str, Any] = {}
        origins: dict[str, str] = ctx.meta.setdefault(_PAIRS, {})
        highest = ParameterSource.DEFAULT
        given = ((ctx.default_map or {}).get(self.name), parts, opts.get(self.name))
        for source, value in zip(_SOURCES, given, strict=True):
            # A missing value is None, or since click 8.3 a sentinel, which is an Enum.
            if value is None or isinstance(value, Enum):
                continue
            highest = source
            # If the type refuses the value, the message names this source.
            ctx.set_parameter_source(self.name, source)
            found = self.type.convert(value, self, ctx)
            pairs |= found
            origins |= {f"{self.name}.{key}": origin(ctx, self) for key in found}
        return pairs, highest

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        return value


def option(
    of: type | None, flag: str, kind: Any, metavar: str | None, text: str, shown: str = "", environment: bool = True
) -> Decorator:
    """An option with the default of a dataclass's field.

    Args:
        of: the dataclass; None: it has no default.
        flag: as in "--save-every", for the field `save_every`.
        kind: the type that reads its values, of `ipt.cli.kinds` or click's.
        metavar: what help calls the value; None: the type's own.
        text: the help.
        shown: what help says of the default, where that is None.
        environment: whether IPT_SAVE_EVERY is looked at.
    """
    default = None if of is None else getattr(of, flag.lstrip("-").replace("-", "_"))
    shared: dict[str, Any] = {"show_default": shown or True, "metavar": metavar, "allow_from_autoenv": environment}
    return click.option(flag, cls=Option, type=kind, default=default, help=text, **shared)


def switch(of: type, flag: str, text: str) -> Decorator:
    """A flag that a YAML file can give too, with the default of a dataclass's field."""
    default = getattr(of, flag.lstrip("-").replace("-", "_"))
    return click.option(flag, cls=Option, is_flag=True, default=default, allow_from_autoenv=False, help=text)


class CountedSwitch(Option):
    """A flag that may be followed by a whole number, as in "--frames" and "--frames 8"."""


class CountedSwitches(click.Command):
    """A command with `CountedSwitch`es: what follows one, and is no number, is an argument of its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        names = {name for each in self.params if isinstance(each, CountedSwitch) for name in each.opts}
        end = args.index("--") if "--" in args else len(args)
        following = [*args[1:], ""]
        alone = [arg in names and not after.isdecimal() for arg, after in zip(args[:end], following, strict=False)]
        given = [f"{arg}=true" if on else arg for arg, on in zip(args[:end], alone, strict=True)]
        return super().parse_args(ctx, given + args[end:])


def counted_switch(of: type, flag: str, kind: Any, text: str) -> Decorator:
    """A `CountedSwitch` with the default of a dataclass's field; its value is true, false or a number."""
    default = getattr(of, flag.lstrip("-").replace("-", "_"))
    return click.option(
        flag, cls=CountedSwitch, type=kind, default=default, metavar="[N]", allow_from_autoenv=False, help=text
    )


def pairs(*names: str, kind: Any, metavar: str, text: str, environment: bool = True) -> Decorator:
    """A `PairsOption`, without a default."""
    return click.option(
        *names, cls=PairsOption, type=kind, multiple=True, metavar=metavar, help=text, allow_from_autoenv=environment
    )


def origin(ctx: click.Context, param: click.Parameter) -> str:
    """The origin of an option's value: "command line", "environment (IPT_STEPS)", "config (run.yaml)" or "default"."""
    source = ctx.get_parameter_source(param.name or "")
    if source is ParameterSource.COMMANDLINE:
        return COMMAND_LINE
    if source is ParameterSource.ENVIRONMENT:
        return f"environment ({ctx.auto_envvar_prefix}_{(param.name or '').upper()})"
    return f"config ({ctx.meta[_CONFIG]})" if source is ParameterSource.DEFAULT_MAP else DEFAULT


def origins() -> dict[str, str]:
    """The origins of the current command's options by name, of pairs as "prior.kernel"; defaults are left out."""
    ctx = click.get_current_context()
    found = {each.name or "": origin(ctx, each) for each in _configurable(ctx) if not isinstance(each, PairsOption)}
    of_pairs: dict[str, str] = ctx.meta.get(_PAIRS, {})
    return {name: where for name, where in found.items() if where != DEFAULT} | of_pairs


def _configurable(ctx: click.Context) -> list[click.Parameter]:
    """The parameters that a YAML file can give."""
    return [each for each in ctx.command.params if isinstance(each, Option | click.Argument)]


def _read_config(ctx: click.Context, param: click.Parameter, path: str | None) -> None:
    """Make the values of a YAML file click's default map.

    Raises:
        IptError: the file cannot be read, or is no mapping in YAML.
        click.UsageError: it has an unknown option.
    """
    if path is None:
        return
    try:
        values = load_yaml(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise IptError(
            f"{path} cannot be read ({error.strerror}); give --config a YAML file such as a run's run.yaml"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise IptError(f"{path} is not YAML: {yaml_fault(error)}; correct it there") from error
    if values is None:
        values = {}
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise IptError(f"{path} does not hold options (name: value); a run's run.yaml shows what it should look like")
    known = [each.name or "" for each in _configurable(ctx)]
    for name in values:
        if name not in known and name != PINNED:
            raise click.UsageError(f"config ({path}) has an unknown option {name!r}{advice(name, known, 'options')}")
    ctx.meta[_CONFIG] = path
    ctx.default_map = {name: value for name, value in values.items() if value is not None}


def flag(*names: str, text: str) -> Decorator:
    """A flag that only the command line can give."""
    return click.option(*names, is_flag=True, allow_from_autoenv=False, help=text)


def out_folder(text: str, usual: str = "") -> Decorator:
    """The option -o OUT, the folder that a command writes to.

    Args:
        text: the help.
        usual: what help says of the default; "": the option is required.
    """
    shown: dict[str, Any] = {"required": not usual, "show_default": usual or False}
    return click.option("-o", "--out", allow_from_autoenv=False, metavar="OUT", help=text, **shown)


as_json = flag("--json", "as_json", text="Write the records to standard output as JSON.")
config = click.option(
    "--config",
    metavar="FILE",
    is_eager=True,
    expose_value=False,
    allow_from_autoenv=False,
    callback=_read_config,
    help="Options in YAML, such as the run.yaml of an earlier run.",
)
