"""A benchmark's protocol: the pictures, how they are degraded, and the solvers. YAML -> `load` -> `Protocol`.

docs/benchmarks.md shows a protocol with all keys. Nothing here imports torch.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from ipt.bench.yaml_values import mapping, text, texts, whole
from ipt.core.errors import IptError, Misuse
from ipt.plugins.scalars import load_yaml, yaml_fault
from ipt.plugins.suggestions import advice

SHIPPED = "shipped"
BASELINES: Mapping[str, str] = {
    "measurement": "the measurement as it is; a tilt counts as zero",
    "wiener": "scikit-image's Wiener filter with the true kernel",
    "richardson-lucy": "scikit-image's Richardson-Lucy iteration with the true kernel",
}
"""What each baseline does, by name."""
RECIPES = ("photographs",)
"""Names of data that are made by code and not by an operator with generators: `ipt.bench.photographs`."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class ComponentSpec:
    """A registered component by name, with its options."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SolverSpec:
    """One solver of a protocol: a baseline, or a guidance rule with its settings.

    Attributes:
        name: In tables and file names.
        baseline: One of `BASELINES`; "": a guidance rule.
        guidance: Registered name of the rule.
        steps: Of the rule; None: its default.
        known: Parameters whose true values are given.
        operator: Options that differ from those of the operator of the data; with a "name", another operator.
        priors: By unknown; they override those of the protocol.
        settings: By dotted name, as `ipt.build` takes them.
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
    """A whole benchmark.

    Attributes:
        name: Of the protocol.
        size: Side in pixels of the squares that pictures are cropped and resized to.
        count: Number of cases.
        noise: Standard deviation for values in 0..1, which solvers are given; None: the recipe's, which they are not.
        operator: That makes the measurements; of a recipe, the operator that solvers assume.
        generators: Of the operator's parameters, by name.
        solvers: In the order of the tables.
        summary: One line for the title.
        pictures: A folder of clean pictures (in a file, relative to it), or `SHIPPED`; "": named for each run.
        seed: Of the test parameters and the noise.
        priors: Of all solvers by unknown; a parameter that is not named has its default prior.
        recipe: One of `RECIPES`; "": operator, generators, noise and seed make the data.
    """

    name: str
    size: int
    count: int
    noise: float | None
    operator: ComponentSpec
    generators: Mapping[str, ComponentSpec]
    solvers: tuple[SolverSpec, ...]
    summary: str = ""
    pictures: str = ""
    seed: int = 0
    priors: Mapping[str, str] = field(default_factory=dict)
    recipe: str = ""

    @property
    def title(self) -> str:
        """Name and summary in a line."""
        return f"{self.name}: {self.summary}" if self.summary else self.name

    def data(self) -> dict[str, Any]:
        """Everything that the measurements depend on, except for the pictures."""
        if self.recipe:
            return {"recipe": self.recipe, "size": self.size, "operator": asdict(self.operator)}
        return {
            "size": self.size,
            "seed": self.seed,
            "noise": self.noise,
            "operator": asdict(self.operator),
            "generators": {name: asdict(spec) for name, spec in self.generators.items()},
        }

    def plain(self) -> dict[str, Any]:
        """The protocol as YAML values, which `parsed` reads back."""
        solvers = {}
        for spec in self.solvers:
            usual = SolverSpec(spec.name)
            values = {key: value for key, value in asdict(spec).items() if value != getattr(usual, key)}
            solvers[spec.name] = {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}
        data = {**self.data(), "operator": _flat(self.operator)}
        if not self.recipe:
            data["generators"] = {name: _flat(spec) for name, spec in self.generators.items()}
        head = {"summary": self.summary, "pictures": self.pictures, "count": self.count}
        return {**{k: v for k, v in head.items() if v}, **data, "priors": dict(self.priors), "solvers": solvers}

    def operator_of(self, spec: SolverSpec) -> ComponentSpec:
        """A solver's operator: the one that it names, else that of the data with the solver's options."""
        own = {key: value for key, value in spec.operator.items() if key != "name"}
        if spec.operator.get("name", self.operator.name) != self.operator.name:
            return ComponentSpec(spec.operator["name"], own)
        return ComponentSpec(self.operator.name, {**self.operator.options, **own})

    def priors_of(self, spec: SolverSpec) -> dict[str, str]:
        """A solver's priors by unknown: its own, then those of the protocol for the unknowns that it has."""
        shared = self.priors
        if self.operator_of(spec).name != self.operator.name:
            shared = {name: prior for name, prior in shared.items() if name == "image"}
        return {name: prior for name, prior in {**shared, **spec.priors}.items() if name not in spec.known}

    def changed(
        self,
        *,
        pictures: str | None = None,
        priors: Mapping[str, str] | None = None,
        count: int | None = None,
        steps: int | None = None,
        solvers: Sequence[str] = (),
    ) -> Protocol:
        """The protocol with other values where they are given.

        `priors` and `steps` go before those of every solver; of `solvers` only these are left, in this order.

        Raises:
            Misuse: A solver that the protocol does not have.
        """
        by_name = {spec.name: spec for spec in self.solvers}
        for name in solvers:
            if name not in by_name:
                raise Misuse(f"protocol {self.name} has no solver {name!r}{advice(name, by_name, 'solvers')}")
        chosen = []
        for spec in (by_name[name] for name in dict.fromkeys(solvers or by_name)):
            own = {name: prior for name, prior in spec.priors.items() if name not in (priors or {})}
            other = replace(spec, priors=own, steps=spec.steps if steps is None else steps)
            chosen.append(spec if spec.baseline else other)
        return replace(
            self,
            pictures=self.pictures if pictures is None else os.path.abspath(os.path.expanduser(pictures)),
            priors={**self.priors, **(priors or {})},
            count=self.count if count is None else count,
            solvers=tuple(chosen),
        )


def built_in() -> list[str]:
    """The names of the protocols that come with the package."""
    names = [item.name for item in (files("ipt.bench") / "protocols").iterdir()]
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))


def load(spec: str) -> Protocol:
    """The protocol of a built-in name or a YAML file; IptError if there is none, or it has faults."""
    if spec in built_in():
        source = files("ipt.bench") / "protocols" / f"{spec}.yaml"
        return parsed(load_yaml(source.read_text(encoding="utf-8")), spec, f"protocol {spec}")
    path = Path(spec).expanduser()
    if not path.is_file():
        raise Misuse(f"there is no protocol, and no YAML file, {spec!r}{advice(spec, built_in(), 'protocols')}")
    try:
        values = load_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise IptError(f"{path} cannot be read ({error.strerror}); check its permissions") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise IptError(f"{path} is not YAML: {yaml_fault(error)}; correct it there") from error
    found = parsed(values, path.stem, str(path))
    place = path.parent / Path(found.pictures).expanduser()
    return found if found.pictures in ("", SHIPPED) else found.changed(pictures=str(place))


def parsed(values: object, name: str, where: str) -> Protocol:
    """The protocol that YAML values describe.

    Args:
        values: The values.
        name: Of the protocol.
        where: Name of the file, for messages.

    Raises:
        IptError: A key is unknown or missing, or a value is not possible.
    """
    drawn = ("seed", "noise", "generators")
    known = ("summary", "pictures", "size", "count", *drawn, "operator", "priors", "solvers", "recipe")
    given = mapping(values, where, known)
    recipe = text(given.get("recipe", ""), f"{where}: recipe")
    if recipe and recipe not in RECIPES:
        raise Misuse(f"{where}: there is no recipe {recipe!r}{advice(recipe, RECIPES, 'recipes')}")
    for key in drawn:
        if recipe and key in given:
            raise IptError(f"{where}: the recipe {recipe} has its own {key}; drop {key}")
    for key in ("size", "count", "operator", "solvers", *(() if recipe else ("noise", "generators"))):
        if given.get(key) is None:
            raise IptError(f"{where} has no {key}; docs/benchmarks.md shows a protocol with all keys")
    noise = given.get("noise", 1.0)
    if isinstance(noise, bool) or not isinstance(noise, int | float) or not 0 < noise <= 1:
        raise IptError(f"{where}: noise is a standard deviation above 0, at most 1, of pictures in 0..1, not {noise!r}")
    generators = mapping(given.get("generators"), f"{where}: generators")
    solvers = mapping(given["solvers"], f"{where}: solvers")
    if not solvers:
        raise IptError(f"{where} has no solvers; give at least one, such as proximal: {{guidance: proximal}}")
    return Protocol(
        name=name,
        summary=text(given.get("summary", ""), f"{where}: summary"),
        pictures=text(given.get("pictures") or "", f"{where}: pictures"),
        size=whole(given["size"], f"{where}: size", 8),
        count=whole(given["count"], f"{where}: count", 1),
        seed=whole(given.get("seed", 0), f"{where}: seed", 0),
        noise=None if recipe else float(noise),
        operator=_component(given["operator"], f"{where}: operator"),
        generators={key: _component(value, f"{where}: generators.{key}") for key, value in generators.items()},
        priors=texts(given.get("priors"), f"{where}: priors"),
        solvers=tuple(_solver(key, value, f"{where}: solvers.{key}") for key, value in solvers.items()),
        recipe=recipe,
    )


def _solver(name: str, values: object, where: str) -> SolverSpec:
    if not _NAME.fullmatch(name):
        raise IptError(f"{where}: a solver's name is of letters, digits, - and _, so that it can name files")
    given = mapping(values, where, ("baseline", "guidance", "steps", "known", "operator", "priors", "settings"))
    baseline = text(given.get("baseline", ""), f"{where}.baseline")
    if baseline and baseline not in BASELINES:
        raise Misuse(f"{where}: there is no baseline {baseline!r}{advice(baseline, BASELINES, 'baselines')}")
    if baseline and len(given) > 1:
        others = ", ".join(key for key in given if key != "baseline")
        raise IptError(f"{where}: a baseline takes no options; drop {others}")
    known = given.get("known") or []
    if not isinstance(known, list) or not all(isinstance(item, str) for item in known):
        raise IptError(f"{where}.known is a list of parameters, as in [kernel], not {known!r}")
    operator = mapping(given.get("operator"), f"{where}.operator")
    text(operator.get("name", ""), f"{where}.operator.name")
    return SolverSpec(
        name=name,
        baseline=baseline,
        guidance=text(given.get("guidance", "proximal"), f"{where}.guidance"),
        steps=None if given.get("steps") is None else whole(given["steps"], f"{where}.steps", 1),
        known=tuple(known),
        operator=operator,
        priors=texts(given.get("priors"), f"{where}.priors"),
        settings=mapping(given.get("settings"), f"{where}.settings"),
    )


def _component(value: object, where: str) -> ComponentSpec:
    """{name: motion, extent: 9}, or the name alone."""
    values = {"name": value} if isinstance(value, str) else mapping(value, where)
    if not isinstance(values.get("name"), str):
        raise IptError(f"{where} has no name; write {{name: NAME, option: value}}, or the name alone")
    return ComponentSpec(values["name"], {key: item for key, item in values.items() if key != "name"})


def _flat(spec: ComponentSpec) -> dict[str, Any]:
    return {"name": spec.name, **spec.options}
