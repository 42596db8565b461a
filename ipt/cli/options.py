"""Options that come from the command line, the environment or a YAML file: their types, and who gave them.

A command that takes such options (`option`, `pairs`) has `context_settings=ENVIRONMENT` and the option `config`; the
rest is click's: precedence, the variables IPT_NAME, and `ctx.get_parameter_source`. The types read what people type and
what YAML holds alike. No torch here: `ipt solve --help` is instant.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

import click
import yaml
from click.core import ParameterSource

from ipt.core.errors import IptError
from ipt.folder.shards import NONE, Shard, parsed
from ipt.plugins.options import flat
from ipt.plugins.run_options import DEFAULT
from ipt.plugins.scalars import load_yaml, scalar
from ipt.plugins.suggestions import advice
from ipt.solve.options import AUTO, PINNED

ENVIRONMENT = {"auto_envvar_prefix": "IPT"}
COMMAND_LINE = "command line"
_CONFIG, _PAIRS = "ipt.config", "ipt.pairs"
_SOURCES = (ParameterSource.DEFAULT_MAP, ParameterSource.ENVIRONMENT, ParameterSource.COMMANDLINE)
"""From the lowest to the highest precedence."""


class Option(click.Option):
    """An option that a YAML file can give; what is wrong with it is told with its origin."""

    def get_error_hint(self, ctx: click.Context | None) -> str:
        hint = super().get_error_hint(ctx)
        found = DEFAULT if ctx is None else origin(ctx, self)
        return hint if found in (DEFAULT, COMMAND_LINE) else f"{hint} (from {found})"


class PairsOption(Option):
    """NAME=VALUE pairs: each source adds to what those of lower precedence say, and overrides it name by name.

    Its type reads a mapping, or a list of texts such as "kernel=box".
    """

    def consume_value(self, ctx: click.Context, opts: Mapping[str, Any]) -> tuple[Any, ParameterSource]:
        given = ((ctx.default_map or {}).get(self.name), self.value_from_envvar(ctx), opts.get(self.name))
        pairs: dict[str, Any] = {}
        origins: dict[str, str] = ctx.meta.setdefault(_PAIRS, {})
        highest = ParameterSource.DEFAULT
        for source, value in zip(_SOURCES, given, strict=True):
            # What was not given is None, or since click 8.3 a mark of its own.
            if value is None or isinstance(value, Enum):
                continue
            highest = source
            # Where the type refuses the value, the message tells this source.
            ctx.set_parameter_source(self.name, source)
            found = self.type.convert(value, self, ctx)
            pairs |= found
            origins |= {f"{self.name}.{key}": origin(ctx, self) for key in found}
        return pairs, highest

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        return value


option = partial(click.option, cls=Option, show_default=True)
pairs = partial(click.option, cls=PairsOption, multiple=True)


def origin(ctx: click.Context, param: click.Parameter) -> str:
    """Who gave the value of an option: "command line", "environment (IPT_STEPS)", "config (run.yaml)" or "default"."""
    source = ctx.get_parameter_source(param.name or "")
    if source is ParameterSource.COMMANDLINE:
        return COMMAND_LINE
    if source is ParameterSource.ENVIRONMENT:
        return f"environment ({ctx.auto_envvar_prefix}_{(param.name or '').upper()})"
    return f"config ({ctx.meta[_CONFIG]})" if source is ParameterSource.DEFAULT_MAP else DEFAULT


def origins() -> dict[str, str]:
    """Who gave each option of the present command, by name, and each pair, as "prior.kernel"; not what is default."""
    ctx = click.get_current_context()
    found = {each.name or "": origin(ctx, each) for each in _configurable(ctx) if not isinstance(each, PairsOption)}
    of_pairs: dict[str, str] = ctx.meta.get(_PAIRS, {})
    return {name: said for name, said in found.items() if said != DEFAULT} | of_pairs


def _configurable(ctx: click.Context) -> list[click.Parameter]:
    """What a YAML file can give."""
    return [each for each in ctx.command.params if isinstance(each, Option | click.Argument)]


def _read_config(ctx: click.Context, param: click.Parameter, path: str | None) -> None:
    """The values of a YAML file as click's default map; IptError: it is none, UsageError: no such option."""
    if path is None:
        return
    try:
        values = load_yaml(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise IptError(
            f"{path} cannot be read ({error.strerror}); give --config a YAML file such as a run's run.yaml"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        said = " ".join(str(error).split())
        raise IptError(f"{path} is not YAML: {said}\nA run's run.yaml shows what it should look like.") from error
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


as_json = click.option(
    "--json", "as_json", is_flag=True, allow_from_autoenv=False, help="Write the records to standard output as JSON."
)
config = click.option(
    "--config",
    metavar="FILE",
    is_eager=True,
    expose_value=False,
    allow_from_autoenv=False,
    callback=_read_config,
    help="Options in YAML, such as the run.yaml of an earlier run.",
)


class Reader(click.ParamType):  # type: ignore[type-arg] # click has it generic since 8.4
    """A type by the function that reads its values.

    Args:
        name: what click calls it.
        wanted: what is asked for, in words.
        read: from a value, as typed or as YAML holds it, to the option's; ValueError: it is none.
    """

    def __init__(self, name: str, wanted: str, read: Callable[[Any], Any]) -> None:
        self.name, self.wanted, self.read = name, wanted, read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self.read(value)
        except ValueError as error:
            self.fail(f"give {self.wanted}, not {value!r}{error}", param, ctx)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def _path(value: Any) -> Path:
    return Path(os.path.abspath(os.path.expanduser(_text(value))))


def _number(value: Any) -> float:
    number = scalar(value)
    if not isinstance(number, int | float) or isinstance(number, bool) or not math.isfinite(number) or number < 0:
        raise ValueError
    return float(number)


def _deviation(value: Any) -> float:
    number = _number(value)
    if number > 1:
        raise ValueError(", which is more than 1; divide it by 255 if it is of 8-bit values")
    return number


def _noise(value: Any) -> float | None:
    if value == AUTO:
        return None
    # Nothing can be solved without noise; a measurement can be made without.
    if not (number := _deviation(value)):
        raise ValueError
    return number


def _shard(value: Any) -> Shard:
    return parsed(str(value))


def _components(value: Any) -> str:
    return "+".join(_spec(part.strip()) for part in _text(value).split("+"))


def whole(least: int, auto: bool = False) -> Reader:
    """Whole numbers from `least` up; with `auto`, that word as None."""

    def read(value: Any) -> int | None:
        if auto and value == AUTO:
            return None
        number = scalar(value)
        if not isinstance(number, int) or isinstance(number, bool) or number < least:
            raise ValueError
        return number

    return Reader("whole number", f"{'auto, or ' if auto else ''}a whole number from {least} up", read)


TEXT = Reader("name", "a name", _text)
COMPONENTS = Reader("components", "a name, or names joined by +", _components)
PATH = Reader("path", "a path", _path)
SECONDS = Reader("seconds", "a number of seconds from 0 up", _number)
DEVIATION = Reader("deviation", "a standard deviation from 0 up (of pictures in 0..1)", _deviation)
NOISE = Reader("noise", "auto, or a standard deviation above 0 (of pictures in 0..1)", _noise)
SHARD = Reader("shard", f"K/N with K from 1 to N, as in 3/64, or {NONE}", _shard)


class Pairs(click.ParamType):  # type: ignore[type-arg]
    """Names and values, typed as NAME=VALUE or a mapping in YAML.

    Args:
        example: of one pair.
        read: from a value to the option's; ValueError: it is none.
        bare: the name that a value without one is of.
        nested: whether a mapping may hold mappings, as in {"guidance": {"scale": .3}}.
    """

    name = "pairs"

    def __init__(self, example: str, read: Callable[[Any], Any], bare: str = "", nested: bool = False) -> None:
        self.example, self.read, self.bare, self.nested = example, read, bare, nested

    def split_envvar_value(self, rv: str) -> list[str]:
        return [part.strip() for part in rv.split(";") if part.strip()]

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if isinstance(value, Mapping):
            pairs = [(str(name), item) for name, item in (flat(value) if self.nested else value).items()]
        elif isinstance(value, str | list | tuple):
            pairs = [self._pair(str(text), param, ctx) for text in ([value] if isinstance(value, str) else value)]
        else:
            self.fail(f"give names and values, as in {self.example}, not {value!r}", param, ctx)
        for name, item in pairs:
            if name in found:
                self.fail(f"{name!r} is given twice; drop one", param, ctx)
            try:
                found[name] = self.read(item)
            except ValueError:
                self.fail(f"give text for {name!r}, as in {self.example}, not {item!r}", param, ctx)
        return found

    def _pair(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        name, equals, value = (part.strip() for part in text.partition("="))
        if self.bare and not (equals and name.isidentifier()):
            return self.bare, text
        if not equals or not name:
            self.fail(f"give NAME=VALUE, as in {self.example}, not {text!r}", param, ctx)
        return name, value


def _spec(text: Any) -> str:
    """A component's name, "name:argument" or path; a path becomes absolute: run.yaml means the same anywhere."""
    head, colon, argument = _text(text).partition(":")
    return f"{head}:{_existing(argument)}" if colon and not os.path.exists(text) else _existing(text)


def _setting(value: Any) -> Any:
    value = scalar(value)
    return _existing(value) if isinstance(value, str) else value


def _existing(text: str) -> str:
    """The absolute path where the text looks like one and is there; else the text."""
    looks = os.sep in text or Path(text).suffix
    place = os.path.expanduser(text)
    return os.path.abspath(place) if looks and os.path.exists(place) else text


SPECS = Pairs("kernel=NAME", _spec, bare="image")
FILES = Pairs("kernel=kernel.npy", _path)
SETTINGS = Pairs("guidance.scale=.3", _setting, nested=True)
