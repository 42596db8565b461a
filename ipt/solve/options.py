"""The options of a run, and where each came from.

Precedence: the command line, then the environment (IPT_OPERATOR, IPT_PRIOR, ...), then a YAML file, then the default.
An option that is a set of pairs (the priors by unknown, the settings by dotted name) is merged pair by pair. No torch
here: the command line reads this to answer --help.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from ipt.core.errors import IptError, Misuse
from ipt.core.precision import PRECISIONS
from ipt.folder.shards import NONE, parsed
from ipt.plugins.options import scalar
from ipt.plugins.suggestions import advice

COMMAND_LINE, DEFAULT = "command line", "default"
PINNED = "pinned"
"""What a run.yaml says besides its options (`ipt.folder.pins`)."""


class OptionError(Misuse):
    """An option that cannot be: `origin` says who gave it."""

    def __init__(self, message: str, origin: str):
        super().__init__(message)
        self.origin = origin


@dataclass(frozen=True)
class Kind:
    """One option: its name in YAML (with dashes on the command line, IPT_NAME in the environment).

    form: "text", "parts" (components joined by +), "path", "whole" (number), "number", "noise" (number or auto),
    "switch" (true or false), "choice", "pairs" (name -> value), "specs" (pairs whose plain value is that of "image"),
    "settings" (pairs by dotted name, values as YAML reads them), "files" (name -> path), "seconds", "batch" (whole
    number or auto), "shard" (K/N or none). least: smallest number allowed. environment: whether IPT_NAME is looked at.
    result: whether the result depends on it; what does not is no part of run.yaml and of the records.
    """

    name: str
    form: str
    default: Any = None
    least: float = 0
    choices: tuple[str, ...] = ()
    environment: bool = True
    result: bool = True


_SHARED = (Kind("operator", "parts", "blur"), Kind("seed", "whole", 0), Kind("border", "text"))

SOLVE = (
    Kind("input", "path", environment=False),
    *_SHARED[:1],
    Kind("prior", "specs", {"image": "faces"}),
    Kind("guidance", "text", "proximal"),
    Kind("frames", "switch", environment=False),
    Kind("noise", "noise", "auto"),
    Kind("steps", "whole", least=1),
    *_SHARED[1:2],
    Kind("samples", "whole", 1, least=1),
    *_SHARED[2:],
    Kind("reference", "path", environment=False),
    Kind("known", "files", {}, environment=False),
    Kind("set", "settings", {}, environment=False),
    Kind("device", "text", "auto"),
    Kind("precision", "choice", "fp32", choices=PRECISIONS),
    Kind("fit", "choice", "error", choices=("error", "resize", "crop", "tile")),
    Kind("batch", "batch", "auto", least=1, result=False),
    Kind("save_every", "seconds", 60.0, result=False),
    Kind("shard", "shard", environment=False, result=False),
    Kind("engine", "text", "local", result=False),
)

SIMULATE = (
    Kind("input", "path", environment=False),
    *_SHARED[:1],
    Kind("generator", "specs", {}, environment=False),
    # Not from the environment: IPT_NOISE may say "auto", which means nothing here.
    Kind("noise", "number", 0.01, environment=False),
    *_SHARED[1:],
    Kind("set", "settings", {}, environment=False),
    Kind("frames", "whole", least=2, environment=False),
    Kind("depth", "choice", "input", choices=("input", "8", "16"), environment=False),
)

_PAIRS = ("pairs", "specs", "settings", "files")


@dataclass(frozen=True)
class Options:
    """Values by name, and the origin of each; a pair's origin is under "name.key"."""

    kinds: tuple[Kind, ...]
    values: Mapping[str, Any]
    origins: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def with_values(self, **values: Any) -> Options:
        return replace(self, values={**self.values, **values})

    def plain(self) -> dict[str, Any]:
        """What `layer_of_file` reads back: for run.yaml."""
        return {kind.name: self.values[kind.name] for kind in self.kinds if kind.result}

    def record(self) -> dict[str, dict[str, Any]]:
        """name -> {"value", "from"}, for a.json; a pair is named "prior.kernel", "set.guidance.scale"."""
        pairs = {kind.name for kind in self.kinds if kind.form in _PAIRS}
        named: dict[str, Any] = {}
        for name, value in self.plain().items():
            named |= {f"{name}.{key}": item for key, item in value.items()} if name in pairs else {name: value}
        return {name: {"value": value, "from": self.origins.get(name, DEFAULT)} for name, value in named.items()}

    def settings(self) -> dict[str, Any]:
        """The settings by dotted name, the border among them as the operator's option."""
        settings = dict(self.values["set"])
        border = self.values["border"]
        if border is not None:
            if settings.get("operator.border", border) != border:
                raise Misuse(
                    f"the border is given twice: {border} ({self.origins['border']}) and operator.border "
                    f"{settings['operator.border']} ({self.origins['set.operator.border']}); drop one"
                )
            settings["operator.border"] = border
        return settings


def merged(kinds: Sequence[Kind], layers: Sequence[tuple[str, Mapping[str, Any]]]) -> Options:
    """The options that layers (origin, values by name) amount to, the first layer first; None is not given.

    Raises OptionError: a name that is no option, a value of the wrong kind.
    """
    values: dict[str, Any] = {kind.name: dict(kind.default) if kind.form in _PAIRS else kind.default for kind in kinds}
    origins: dict[str, str] = {}
    by_name = {kind.name: kind for kind in kinds}
    for origin, layer in reversed(layers):
        for name, value in layer.items():
            if name not in by_name:
                raise OptionError(f"{origin} has an unknown option {name!r}{advice(name, by_name, 'options')}", origin)
            if value is None:
                continue
            read = _read(by_name[name], value, origin)
            if by_name[name].form in _PAIRS:
                values[name] |= read
                origins |= {f"{name}.{key}": origin for key in read}
            else:
                values[name] = read
                origins[name] = origin
    return Options(tuple(kinds), values, origins)


def layer_of_environment(kinds: Sequence[Kind]) -> list[tuple[str, Mapping[str, Any]]]:
    """A layer for each variable IPT_NAME that is set; pairs are separated by semicolons."""
    found: list[tuple[str, Mapping[str, Any]]] = []
    for kind in kinds:
        variable = f"IPT_{kind.name.upper()}"
        text = os.environ.get(variable, "")
        if kind.environment and text:
            value = [part.strip() for part in text.split(";")] if kind.form in _PAIRS else text
            found.append((f"environment ({variable})", {kind.name: value}))
    return found


def layer_of_file(path: str | os.PathLike[str]) -> tuple[str, Mapping[str, Any]]:
    """The layer of a YAML file such as run.yaml; OptionError or IptError if it is none."""
    origin = f"config ({path})"
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise IptError(
            f"{path} cannot be read ({error.strerror}); give --config a YAML file such as a run's run.yaml"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        said = " ".join(str(error).split())
        raise IptError(f"{path} is not YAML: {said}\nA run's run.yaml shows what it should look like.") from error
    if values is None:
        return origin, {}
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise IptError(f"{path} does not hold options (name: value); a run's run.yaml shows what it should look like")
    return origin, {name: value for name, value in values.items() if name != PINNED}


def _read(kind: Kind, value: Any, origin: str) -> Any:
    """A value as the option wants it; OptionError where it cannot be."""

    def wrong(wanted: str) -> OptionError:
        return OptionError(f"{kind.name} is {wanted}, not {value!r} (from {origin})", origin)

    if kind.form in _PAIRS:
        return _pairs(kind, value, origin)
    if kind.form == "switch":
        if not isinstance(scalar(value), bool):
            raise wrong("true or false")
        return scalar(value)
    if kind.form in ("text", "path", "parts"):
        if not isinstance(value, str) or not value:
            raise wrong("a path" if kind.form == "path" else "a name")
        if kind.form == "parts":
            return "+".join(_spec(part.strip()) for part in value.split("+"))
        return os.path.abspath(os.path.expanduser(value)) if kind.form == "path" else value
    if kind.form == "choice":
        if str(value) not in kind.choices:
            raise OptionError(
                f"{kind.name} cannot be {value!r} (from {origin}){advice(str(value), kind.choices, 'choices')}", origin
            )
        return str(value)
    if kind.form == "shard":
        try:
            parsed(str(value))
        except ValueError:
            raise wrong(f"K/N with K from 1 to N, as in 3/64, or {NONE}") from None
        return str(value)
    if kind.form in ("noise", "batch") and value == "auto":
        return value
    number = scalar(value)
    if kind.form in ("whole", "batch"):
        if not isinstance(number, int) or isinstance(number, bool) or number < kind.least:
            raise wrong(f"{'auto, or ' if kind.form == 'batch' else ''}a whole number from {kind.least:g} up")
        return number
    usual = isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number)
    if kind.form == "seconds":
        if not usual or number < 0:
            raise wrong("a number of seconds from 0 up")
        return float(number)
    # Nothing can be solved without noise; a measurement can be made without.
    if not usual or number < 0 or (number == 0 and kind.form == "noise"):
        wanted = "auto, or a standard deviation above 0" if kind.form == "noise" else "a standard deviation from 0 up"
        raise wrong(f"{wanted} (of pictures in 0..1)")
    if number > 1:
        raise wrong("a standard deviation of pictures in 0..1, so at most 1; divide it by 255 if it is of 8-bit values")
    return float(number)


def _pairs(kind: Kind, value: Any, origin: str) -> dict[str, Any]:
    """Pairs as typed ("a=1", "b=2") or as a mapping, which for settings may be nested."""
    pairs: dict[str, Any] = {}
    if isinstance(value, Mapping):
        pairs = flat(value) if kind.form == "settings" else dict(value)
    else:
        if not isinstance(value, str | list | tuple):
            raise OptionError(f"{kind.name} takes names and values, not {value!r} (from {origin})", origin)
        for text in [value] if isinstance(value, str) else value:
            name, equals, rest = str(text).partition("=")
            if kind.form == "specs" and not (equals and name.strip().isidentifier()):
                name, equals, rest = "image", "=", str(text)
            if not equals or not name.strip() or (not rest and kind.form != "settings"):
                example = {"settings": "guidance.scale=.3", "files": "kernel=kernel.npy"}.get(kind.form, "kernel=NAME")
                wanted = f"NAME=VALUE, as in {example}"
                raise OptionError(f"{kind.name} takes {wanted}, not {text!r} (from {origin})", origin)
            if name.strip() in pairs:
                raise OptionError(f"{kind.name} is given twice for {name.strip()!r} (from {origin}); drop one", origin)
            pairs[name.strip()] = rest.strip()
    if kind.form == "settings":
        return {str(name): _setting(item) for name, item in pairs.items()}
    for name, item in pairs.items():
        if not isinstance(name, str) or not isinstance(item, str) or not item:
            raise OptionError(f"{kind.name} of {name!r} is text, not {item!r} (from {origin})", origin)
    if kind.form == "files":
        return {name: os.path.abspath(os.path.expanduser(item)) for name, item in pairs.items()}
    return {name: _spec(item) for name, item in pairs.items()}


def flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested mappings as one, by dotted name."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{before}{name}.") if isinstance(value, Mapping) else {f"{before}{name}": value}
    return found


def _setting(value: Any) -> Any:
    value = scalar(value)
    return _existing(value) if isinstance(value, str) else value


def _spec(text: str) -> str:
    """A component's name, "name:argument" or path; a path becomes absolute, so that run.yaml means the same
    anywhere."""
    head, colon, argument = text.partition(":")
    if colon and not os.path.exists(text):
        return f"{head}:{_existing(argument)}"
    return _existing(text)


def _existing(text: str) -> str:
    """The absolute path where the text looks like one and is there; else the text."""
    looks = os.sep in text or Path(text).suffix
    place = os.path.expanduser(text)
    return os.path.abspath(place) if looks and os.path.exists(place) else text
