"""A benchmark's protocol: which pictures, degraded how, solved by whom. YAML, read and checked here; no torch.

summary: one line
pictures: shipped          # or a folder; left out: to be named with --images
size: 64                   # pictures are made square of this side
count: 8                   # how many cases
seed: 0                    # of the test kernels, fields and noise
noise: .01                 # standard deviation, of 0..1
operator: {name: blur, kernel_size: 16, border: circular}
generators:                # one for each parameter of the operator
  kernel: {name: motion, extent: [8, 16]}
priors: {image: faces}     # of all solvers; a parameter has its usual one
solvers:
  wiener: {baseline: wiener}
  proximal: {guidance: proximal, steps: 100}
  told-nothing: {operator: {border: unknown}, settings: {guidance.zeta: 1}}
  true-kernel: {guidance: dps, known: [kernel]}
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from ipt.core.errors import IptError, Misuse
from ipt.plugins.scalars import load_yaml
from ipt.plugins.suggestions import advice

SHIPPED = "shipped"
BASELINES: Mapping[str, str] = {
    "measurement": "the measurement as it is, its tilt taken for zero",
    "wiener": "scikit-image's Wiener filter with the true kernel",
    "richardson-lucy": "scikit-image's Richardson-Lucy iteration with the true kernel",
}
"""Name -> what it does."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Part:
    """A registered component by name, with its options."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """One solver of a protocol: a baseline, or guidance with what it is told.

    operator: options that differ from those the measurements were made with, or, with a "name", another operator.
    known: parameters whose true values are given. priors: by unknown, over the protocol's. settings: by dotted name, as
    `ipt.build` takes them. steps: None is the rule's own number.
    """

    name: str
    baseline: str = ""
    guidance: str = "proximal"
    steps: int | None = None
    known: tuple[str, ...] = ()
    operator: Mapping[str, Any] = field(default_factory=dict)
    priors: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Protocol:
    """A whole benchmark; see the module."""

    name: str
    size: int
    count: int
    noise: float
    operator: Part
    generators: Mapping[str, Part]
    solvers: tuple[Plan, ...]
    summary: str = ""
    pictures: str = ""
    seed: int = 0
    priors: Mapping[str, str] = field(default_factory=dict)

    def data(self) -> dict[str, Any]:
        """All that the measurements depend on, but for the pictures."""
        return {
            "size": self.size,
            "seed": self.seed,
            "noise": self.noise,
            "operator": asdict(self.operator),
            "generators": {name: asdict(part) for name, part in self.generators.items()},
        }

    def plain(self) -> dict[str, Any]:
        """What `parsed` reads back, for a YAML file."""
        solvers = {}
        for plan in self.solvers:
            usual = Plan(plan.name)
            values = {key: value for key, value in asdict(plan).items() if value != getattr(usual, key)}
            solvers[plan.name] = {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}
        data = {**self.data(), "operator": _flat(self.operator)}
        data["generators"] = {name: _flat(part) for name, part in self.generators.items()}
        head = {"summary": self.summary, "pictures": self.pictures, "count": self.count}
        return {**{k: v for k, v in head.items() if v}, **data, "priors": dict(self.priors), "solvers": solvers}

    def told(self, plan: Plan) -> Part:
        """The operator that a solver is told: another one if it names one, else that of the data with its changes."""
        own = {key: value for key, value in plan.operator.items() if key != "name"}
        if plan.operator.get("name", self.operator.name) != self.operator.name:
            return Part(plan.operator["name"], own)
        return Part(self.operator.name, {**self.operator.options, **own})

    def priors_of(self, plan: Plan) -> dict[str, str]:
        """By unknown; those of the protocol go to the unknowns that the solver has."""
        shared = self.priors
        if self.told(plan).name != self.operator.name:
            shared = {name: spec for name, spec in shared.items() if name == "image"}
        return {name: spec for name, spec in {**shared, **plan.priors}.items() if name not in plan.known}

    def changed(
        self,
        *,
        pictures: str | None = None,
        priors: Mapping[str, str] | None = None,
        count: int | None = None,
        steps: int | None = None,
        solvers: Sequence[str] = (),
    ) -> Protocol:
        """The protocol with what the command line says over it; IptError: a solver that it does not have.

        priors and steps go before those of every solver; solvers: only these, in this order.
        """
        by_name = {plan.name: plan for plan in self.solvers}
        for name in solvers:
            if name not in by_name:
                raise Misuse(f"protocol {self.name} has no solver {name!r}{advice(name, by_name, 'solvers')}")
        plans = []
        for plan in (by_name[name] for name in dict.fromkeys(solvers or by_name)):
            own = {name: spec for name, spec in plan.priors.items() if name not in (priors or {})}
            if plan.baseline:
                plans.append(plan)
            else:
                plans.append(replace(plan, priors=own, steps=plan.steps if steps is None else steps))
        return replace(
            self,
            pictures=self.pictures if pictures is None else os.path.abspath(os.path.expanduser(pictures)),
            priors={**self.priors, **(priors or {})},
            count=self.count if count is None else count,
            solvers=tuple(plans),
        )


def built_in() -> list[str]:
    """The names of the protocols that come with the package."""
    folder = files("ipt.bench") / "protocols"
    return sorted(item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml"))


def load(spec: str) -> Protocol:
    """The protocol of that name, or in that YAML file; IptError: there is none, or it is not one."""
    if spec in built_in():
        text = (files("ipt.bench") / "protocols" / f"{spec}.yaml").read_text(encoding="utf-8")
        return parsed(load_yaml(text), spec, f"protocol {spec}")
    path = Path(spec).expanduser()
    if not path.is_file():
        raise Misuse(f"there is no protocol, and no YAML file, {spec!r}{advice(spec, built_in(), 'protocols')}")
    try:
        values = load_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise IptError(f"{path} cannot be read ({error.strerror}); check its permissions") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise IptError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    return parsed(values, path.stem, str(path))


def parsed(values: Any, name: str, where: str) -> Protocol:
    """The protocol that YAML values describe. where: what to call the file in messages. IptError: an unknown key (with
    a suggestion), a value that cannot be."""
    known = ("summary", "pictures", "size", "count", "seed", "noise", "operator", "generators", "priors", "solvers")
    values = _mapping(values, where, known)
    for key in ("size", "count", "noise", "operator", "generators", "solvers"):
        if values.get(key) is None:
            raise IptError(f"{where} does not say its {key}; docs/benchmarks.md shows what a protocol holds")
    noise = values["noise"]
    if isinstance(noise, bool) or not isinstance(noise, int | float) or not 0 < noise <= 1 or not math.isfinite(noise):
        raise IptError(f"{where}: noise is a standard deviation above 0, at most 1, of pictures in 0..1, not {noise!r}")
    generators = _mapping(values["generators"], f"{where}: generators")
    solvers = _mapping(values["solvers"], f"{where}: solvers")
    if not solvers:
        raise IptError(f"{where} has no solvers; give at least one, such as proximal: {{guidance: proximal}}")
    return Protocol(
        name=name,
        summary=_text(values.get("summary", ""), f"{where}: summary"),
        pictures=_text(values.get("pictures") or "", f"{where}: pictures"),
        size=_whole(values["size"], f"{where}: size", 8),
        count=_whole(values["count"], f"{where}: count", 1),
        seed=_whole(values.get("seed", 0), f"{where}: seed", 0),
        noise=float(noise),
        operator=_part(values["operator"], f"{where}: operator"),
        generators={key: _part(value, f"{where}: generators.{key}") for key, value in generators.items()},
        priors=_texts(values.get("priors"), f"{where}: priors"),
        solvers=tuple(_plan(key, value, f"{where}: solvers.{key}") for key, value in solvers.items()),
    )


def _plan(name: str, values: Any, where: str) -> Plan:
    if not _NAME.fullmatch(name):
        raise IptError(f"{where}: a solver's name is of letters, digits, - and _, so that it can name files")
    values = _mapping(values, where, ("baseline", "guidance", "steps", "known", "operator", "priors", "settings"))
    baseline = _text(values.get("baseline", ""), f"{where}.baseline")
    if baseline and baseline not in BASELINES:
        raise Misuse(f"{where}: there is no baseline {baseline!r}{advice(baseline, BASELINES, 'baselines')}")
    if baseline and len(values) > 1:
        others = ", ".join(key for key in values if key != "baseline")
        raise IptError(f"{where}: a baseline takes no options; drop {others}")
    known = values.get("known") or []
    if not isinstance(known, list) or not all(isinstance(item, str) for item in known):
        raise IptError(f"{where}.known is a list of parameters, as in [kernel], not {known!r}")
    steps = values.get("steps")
    return Plan(
        name=name,
        baseline=baseline,
        guidance=_text(values.get("guidance", "proximal"), f"{where}.guidance"),
        steps=None if steps is None else _whole(steps, f"{where}.steps", 1),
        known=tuple(known),
        operator=_operator(values.get("operator"), f"{where}.operator"),
        priors=_texts(values.get("priors"), f"{where}.priors"),
        settings=_mapping(values.get("settings"), f"{where}.settings"),
    )


def _operator(value: Any, where: str) -> dict[str, Any]:
    options = _mapping(value, where)
    if "name" in options:
        _text(options["name"], f"{where}.name")
    return options


def _part(value: Any, where: str) -> Part:
    """{name: motion, extent: 9}, or the name alone."""
    if isinstance(value, str):
        return Part(value)
    values = _mapping(value, where)
    if not isinstance(values.get("name"), str):
        raise IptError(f"{where} has no name; write {{name: NAME, option: value}}, or the name alone")
    return Part(values["name"], {key: item for key, item in values.items() if key != "name"})


def _flat(part: Part) -> dict[str, Any]:
    return {"name": part.name, **part.options}


def _mapping(values: Any, where: str, known: Iterable[str] = ()) -> dict[str, Any]:
    """A mapping with text for keys, of those known where some are named; none is empty."""
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise IptError(f"{where} holds names and values (name: value), not {values!r}")
    names = list(known)
    for key in values:
        if names and key not in names:
            raise Misuse(f"{where} has an unknown key {key!r}{advice(key, names, 'keys')}")
    return values


def _texts(values: Any, where: str) -> dict[str, str]:
    return {key: _text(value, f"{where}.{key}") for key, value in _mapping(values, where).items()}


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise IptError(f"{where} is text, not {value!r}")
    return value


def _whole(value: Any, where: str, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise IptError(f"{where} is a whole number from {least} up, not {value!r}")
    return value
