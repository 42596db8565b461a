"""Types of options, as functions from a typed text or a YAML value to the option's value.

Each raises click.BadParameter for a value that it does not take.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import click

from ipt.folder.shards import NONE, Shard, parsed
from ipt.images.choices import ARRAY_SUFFIXES
from ipt.images.noise import NoiseOption, Poisson
from ipt.plugins.options import flat, named_values
from ipt.plugins.scalars import scalar
from ipt.solve.options import AUTO, HALF

_NOISE = "auto, or a standard deviation above 0 (of pictures in 0..1), or poisson:PEAK, or a .npy file of deviations"
_ADDED = "a standard deviation from 0 up (of pictures in 0..1), or poisson:PEAK, or a .npy file of deviations"


def text(value: Any) -> str:
    """A name."""
    return value if isinstance(value, str) and value else _refuse("a name", value)


def path(value: Any) -> Path:
    """A path, made absolute."""
    return Path(
        os.path.abspath(os.path.expanduser(value if isinstance(value, str) and value else _refuse("a path", value)))
    )


def components(value: Any) -> str:
    """A component's specification, or several joined by +; existing paths are made absolute."""
    return "+".join(_spec(part.strip()) for part in text(value).split("+"))


def whole(least: int, auto: bool = False) -> Callable[[Any], int | None]:
    """A type for whole numbers from `least` up; with `auto`, the word "auto" is None."""

    def read(value: Any) -> int | None:
        number = scalar(value)
        if isinstance(number, int) and not isinstance(number, bool) and number >= least:
            return number
        wanted = f"a whole number from {least} up"
        return None if auto and value == AUTO else _refuse(f"auto, or {wanted}" if auto else wanted, value)

    return read


def exposures(value: Any) -> bool | int:
    """True or false, or a number of exposures."""
    number = scalar(value)
    if isinstance(number, bool) or (isinstance(number, int) and number >= 2):
        return number
    return _refuse("true, false, or a whole number from 2 up", value)


def seconds(value: Any) -> float:
    """A number from 0 up."""
    return _number(value, "a number of seconds from 0 up")


def number(value: Any) -> float:
    """A number from 0 up."""
    return _number(value, "a number from 0 up")


def noise(value: Any) -> NoiseOption:
    """The noise of a measurement: a standard deviation above 0, Poisson noise or the file of a map; "auto" is None."""
    if value == AUTO:
        return None
    found = _noise(value, _NOISE)
    return found if found != 0 else _refuse(_NOISE, value)


def simulated_noise(value: Any) -> NoiseOption:
    """Noise to add: as `noise`, with 0 for none, and without "auto", since there is nothing to estimate."""
    return _noise(value, _ADDED)


def _noise(value: Any, wanted: str) -> NoiseOption:
    if isinstance(value, str):
        head, _, argument = value.partition(":")
        if head == "poisson":
            return _poisson(argument, value)
        if Path(value).suffix.lower() in ARRAY_SUFFIXES:
            return path(value)
    return _number(value, wanted)


def _poisson(argument: str, typed: str) -> Poisson:
    """Poisson noise from "1000" or "peak=1000,read=.01"; from "", noise whose peak is to be estimated."""
    given = named_values(argument) or ({"peak": argument} if argument else {})
    found = {name: _number(one, f"a number from 0 up as {name}") for name, one in given.items()}
    if not found:
        return Poisson()
    if not found.keys() <= {"peak", "read"} or not found.get("peak"):
        _refuse("poisson:PEAK, the counts where the signal is 1, or poisson:peak=PEAK,read=SIGMA", typed)
    return Poisson(**found)


def clipped(value: Any) -> float | str:
    """The value from which highlights are clipped, above 0 and at most 1, or "auto" or "none"."""
    if value in (AUTO, NONE):
        return str(value)
    wanted = f"auto, {NONE}, or a value above 0 and at most 1"
    return _number(value, wanted, 1) or _refuse(wanted, value)


def region(value: Any) -> tuple[int, int, int, int] | str:
    """A rectangle (x, y, width, height), or "auto", "half" or "none"."""
    if value in (AUTO, HALF, NONE):
        return str(value)
    return _rectangle(value, f"{AUTO}, {HALF}, {NONE}, or X,Y,WIDTH,HEIGHT in pixels, as in 400,300,256,256")


def streak(value: Any) -> tuple[int, int, int, int]:
    """A rectangle (x, y, width, height)."""
    return _rectangle(value, "X,Y,WIDTH,HEIGHT in pixels, as in 400,300,60,40")


def _rectangle(value: Any, wanted: str) -> tuple[int, int, int, int]:
    try:
        x, y, width, height = map(int, value.split(",") if isinstance(value, str) else value)
    except (TypeError, ValueError):
        return _refuse(wanted, value)
    return x, y, width, height


def shard(value: Any) -> Shard:
    """A shard; "none" is all of the folder."""
    try:
        return parsed(str(value))
    except ValueError:
        return _refuse(f"K/N with K from 1 to N, as in 3/64, or {NONE}", value)


def specs(value: Any) -> dict[str, str]:
    """Components by unknown; one without a name is for the image."""
    return _pairs(value, "kernel=NAME", _spec, bare="image")


def paths(value: Any) -> dict[str, Path]:
    """Files by name."""
    return _pairs(value, "kernel=kernel.npy", path)


def settings(value: Any) -> dict[str, Any]:
    """Values by dotted name, also from nested mappings, {"guidance": {"scale": .3}}."""
    return _pairs(flat(value) if isinstance(value, Mapping) else value, "guidance.scale=.3", _setting)


def values(value: Any) -> dict[str, Any]:
    """Values by dotted name; unlike in `settings`, texts are not taken for paths."""
    return _pairs(value, "network.width=32", scalar)


def _pairs(value: Any, example: str, read: Callable[[Any], Any], bare: str = "") -> dict[str, Any]:
    """Values by name, from NAME=VALUE texts or a mapping.

    Args:
        value: a mapping, a text, or several texts.
        example: of one pair, for messages.
        read: reads a single value.
        bare: the name for a text without one; "": every text needs a name.
    """
    if isinstance(value, Mapping):
        given = [(str(name), item) for name, item in value.items()]
    elif isinstance(value, str | list | tuple):
        given = [_pair(str(one), example, bare) for one in ([value] if isinstance(value, str) else value)]
    else:
        _refuse(f"names and values, as in {example}", value)
    found: dict[str, Any] = {}
    for name, item in given:
        if name in found:
            raise click.BadParameter(f"{name!r} is given twice; drop one")
        try:
            found[name] = read(item)
        except click.BadParameter:
            _refuse(f"text for {name!r}, as in {example}", item)
    return found


def _pair(typed: str, example: str, bare: str) -> tuple[str, str]:
    name, equals, value = (part.strip() for part in typed.partition("="))
    if bare and not (equals and name.isidentifier()):
        return bare, typed
    return (name, value) if equals and name else _refuse(f"NAME=VALUE, as in {example}", typed)


def _number(value: Any, wanted: str, most: float = math.inf) -> float:
    number = scalar(value)
    if not isinstance(number, int | float) or isinstance(number, bool) or not math.isfinite(number) or number < 0:
        _refuse(wanted, value)
    if number > most:
        raise click.BadParameter(
            f"{number:g} is more than {most:g}: give {wanted}; divide it by 255 if it is of 8-bit values"
        )
    return float(number)


def _refuse(wanted: str, value: Any) -> NoReturn:
    raise click.BadParameter(f"give {wanted}, not {value!r}")


def _spec(value: Any) -> str:
    """A component's name, "name:argument" or path; paths become absolute, so that run.yaml works from any folder."""
    head, colon, argument = text(value).partition(":")
    several = named_values(argument)
    if several and not os.path.exists(os.path.expanduser(argument)):
        return f"{head}:{','.join(f'{name}={_existing(one)}' for name, one in several.items())}"
    return f"{head}:{_existing(argument)}" if colon and not os.path.exists(value) else _existing(value)


def _setting(value: Any) -> Any:
    read = scalar(value)
    return _existing(read) if isinstance(read, str) else read


def _existing(name: str) -> str:
    """The absolute path if the text looks like a path and exists; else the text."""
    looks_like_path = os.sep in name or Path(name).suffix
    place = os.path.expanduser(name)
    return os.path.abspath(place) if looks_like_path and os.path.exists(place) else name
