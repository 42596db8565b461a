"""Plans: components are found by name and their options checked (`Planner`) before anything is built (`Plan.build`)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import ipt
from ipt.core.errors import IptError, Lacking, Misuse
from ipt.plugins.component import KINDS
from ipt.plugins.faults import one_line, place
from ipt.plugins.hookspecs import outdated
from ipt.plugins.options import Option, Signature, grouped, is_file, named_values, plain_values, signature_of, value_for
from ipt.plugins.registry import Entry, Registry
from ipt.plugins.scalars import scalar
from ipt.plugins.suggestions import advice, similar

DEFAULT_GUIDANCE = "proximal"
_ABSTRACTIONS = {
    "operator": "ParametricOperator",
    "prior": "Prior",
    "guidance": "GuidanceRule",
    "generator": "Generator",
}


@dataclass(frozen=True)
class Plan:
    """A component and its options, some of which may be plans themselves."""

    entry: Entry
    options: Mapping[str, Any]

    @property
    def who(self) -> str:
        """Kind and name, for messages."""
        return f"{self.entry.kind} {self.entry.name!r}"

    def entries(self) -> Iterator[Entry]:
        """The registered component, and those in its options."""
        yield self.entry
        for value in self.options.values():
            if isinstance(value, Plan | Chain):
                yield from value.entries()

    def build(self) -> Any:
        """Build the component; IptError if it refuses its options, or is not of its kind."""
        plans = {name: value for name, value in self.options.items() if isinstance(value, Plan | Chain)}
        options = {**self.options, **{name: plan.build() for name, plan in plans.items()}}
        factory, owner = self.entry.load(), self.entry.owner
        try:
            made = factory(**options)
        except (IptError, OSError, MemoryError):
            raise
        except Exception as error:
            reason = str(error) if isinstance(error, ValueError) and str(error) else one_line(error)
            gone = outdated(factory) if isinstance(factory, type) else ""
            raise IptError(f"{self.who} of {owner} cannot be built: {gone or reason + place(error)}") from error
        wanted = getattr(ipt, _ABSTRACTIONS[self.entry.kind])
        if not isinstance(made, wanted):
            raise IptError(
                f"{self.who} of {owner} is not an ipt.{wanted.__name__}: its factory returned a "
                f"{type(made).__name__}.\nReport it to the authors of {owner}."
            )
        if gone := outdated(type(made)):
            raise IptError(f"{self.who} of {owner} cannot be used: {gone}")
        return made


@dataclass(frozen=True)
class Chain:
    """Operators that are applied one after the other."""

    parts: tuple[Plan, ...]

    def entries(self) -> Iterator[Entry]:
        """The registered components of its parts."""
        for part in self.parts:
            yield from part.entries()

    def build(self) -> Any:
        """Build the composed operator; errors as for `Plan.build`."""
        from ipt.operators.compose import compose

        return compose(*(part.build() for part in self.parts))


@dataclass(frozen=True)
class Ready:
    """A component that is built already: a prior that an operator brings."""

    made: Any

    def entries(self) -> Iterator[Entry]:
        """Nothing: it is not registered."""
        return iter(())

    def build(self) -> Any:
        """The component."""
        return self.made


@dataclass(frozen=True)
class Planner:
    """Makes plans with the components of a registry.

    Attributes:
        registry: of the components.
        device: for priors that have such an option.
        precision: for priors that have such an option.
    """

    registry: Registry
    device: str | None = None
    precision: str | None = None

    def plan(self, kind: str, spec: str | os.PathLike[str], settings: Mapping[str, Any], section: str) -> Plan | Chain:
        """Plan what a specification names.

        Args:
            kind: Of the component.
            spec: "name", "name:argument" with the value of the first option, or "name:option=value,option=value"; for
                operators also "first+second", for priors the path of a network's weights.
            settings: Options by dotted name.
            section: Where the options are set, for messages.

        Raises:
            IptError: A name or option is unknown, missing or given twice.
        """
        if kind == "operator":
            return self._operator(os.fspath(spec), settings, section)
        return self._single(kind, os.fspath(spec), settings, section)

    def named(self, kind: str, spec: str) -> list[Entry]:
        """The components that a specification names, without those in their options."""
        return [self._find(kind, part.strip())[0] for part in (spec.split("+") if kind == "operator" else [spec])]

    def _operator(self, spec: str, settings: Mapping[str, Any], section: str) -> Plan | Chain:
        specs = [part.strip() for part in spec.split("+")]
        if len(specs) == 1:
            return self._single("operator", spec, settings, section)
        if not all(specs):
            raise Misuse(f"operator {spec!r} is incomplete; write names with a + between them, as in blur+downscale")
        from ipt.operators.compose import numbered

        labels = numbered(part.partition(":")[0] for part in specs)
        options = [signature_of(entry.load()) for entry in self.named("operator", spec)]
        shares = _shares(spec, dict(zip(labels, options, strict=True)), settings, section)
        return Chain(
            tuple(
                self._single("operator", part, shares[label], f"{section}.{label}")
                for part, label in zip(specs, labels, strict=True)
            )
        )

    def _find(self, kind: str, spec: str) -> tuple[Entry, str | None]:
        """The component that "name", "name:argument" or, for priors, a path names; and its argument, or None."""
        head, colon, argument = spec.partition(":")
        if self.registry.has(kind, spec):
            return self.registry.find(kind, spec), None
        if kind != "prior":
            return self.registry.find(kind, head), argument if colon else None
        if colon and self.registry.has(kind, head):
            return self.registry.find(kind, head), argument
        if os.path.exists(spec):
            return self.registry.find(kind, "network"), spec
        if colon and os.sep not in head and len(head) > 1:
            # A name that is mistyped, with options; a single letter may be a drive.
            return self.registry.find(kind, head), argument
        if os.sep in spec or spec.endswith(".safetensors"):
            raise IptError(
                f"no prior: there is no file or folder {spec}\n"
                f"Give a folder of weights that exists, or one of the names that `ipt list prior` shows."
            )
        return self.registry.find(kind, spec), None

    def _single(self, kind: str, spec: str, settings: Mapping[str, Any], section: str) -> Plan:
        """A plan for one component, with its options checked."""
        entry, argument = self._find(kind, spec)
        name = entry.name
        signature = signature_of(entry.load())
        names = signature.names()
        who = f"{kind} {name!r}"
        inline = self._inline(who, signature, argument)
        for key in inline.keys() & settings.keys():
            raise Misuse(f"{key} of {who} is given twice, in '{name}:{argument}' and as {section}.{key}; drop one")
        groups = grouped({**inline, **settings})
        options: dict[str, Any] = {}
        if kind == "prior":
            machine = {"device": self.device, "precision": self.precision}
            options |= {key: value for key, value in machine.items() if key in names and value is not None}
        for key, group in groups.items():
            option = signature.option(key)
            if option is None and not signature.open:
                raise Misuse(f"{who} has no option {key!r} ({section}.{key}){advice(key, names, 'options')}")
            options[key] = self._value(option, group, f"{section}.{key}")
        for option in signature.options:
            if option.required and option.name not in options:
                if _component_kind(option) != "guidance":
                    raise Lacking(
                        f"{who} needs {option.name!r}: set {section}.{option.name}; "
                        f"`ipt show {kind} {name}` explains its options"
                    )
                options[option.name] = self._value(option, {}, f"{section}.{option.name}")
        return Plan(entry, options)

    @staticmethod
    def _inline(who: str, signature: Signature, argument: str | None) -> dict[str, str]:
        """The options that the argument of "name:argument" sets: the first one, or those that it names."""
        if argument is None:
            return {}
        if not signature.options:
            raise Misuse(f"{who} takes no argument, but was given {argument!r}; write its name alone")
        first, several = signature.options[0], named_values(argument)
        given = next(iter(several), "").partition(".")[0]
        # "a=b.npz" may also be the name of a file, for the first option, unless "a" is like the name of an option.
        near = similar(given, signature.names()) if given and not os.path.exists(argument) else ""
        if several and (given in signature.names() or near or not (signature.open or is_file(first, argument))):
            return several
        return {first.name: argument}

    def _value(self, option: Option | None, group: Mapping[str, Any], key: str) -> Any:
        """The value of an option.

        Args:
            option: None: the factory takes any options.
            group: the option's own value under "", and values below it ("rule.scale") by the rest of their key.
            key: of the option, for messages.

        Returns:
            A scalar, a mapping of the values below it, or the plan of a component.
        """
        kind = _component_kind(option)
        deeper = {name: value for name, value in group.items() if name}
        if kind and isinstance(group.get("", ""), str):
            spec = group.get("", DEFAULT_GUIDANCE if kind == "guidance" else None)
            if spec is None:
                raise IptError(f"{key} is not set, but its options are; set {key} to the name of a {kind}")
            return self.plan(kind, spec, deeper, key)
        if "" not in group:
            return {name: scalar(value) for name, value in deeper.items()}
        if deeper:
            raise IptError(f"{key} is set both as a whole and in part ({key}.{next(iter(deeper))}); drop one")
        value = value_for(option, group[""])
        takes = plain_values(option) if option else ""
        if (takes and isinstance(value, str)) or (takes == "true or false" and not isinstance(value, bool | None)):
            raise Misuse(f"{key} is {takes}, not {value!r}")
        return value


def _shares(
    spec: str, parts: Mapping[str, Signature], settings: Mapping[str, Any], section: str
) -> dict[str, dict[str, Any]]:
    """The settings of each part of a composed operator.

    "downscale.factor" is for the part `downscale` only; "border" is for every part that has such an option, unless it
    has a value of its own.
    """
    common: dict[str, dict[str, Any]] = {label: {} for label in parts}
    own: dict[str, dict[str, Any]] = {label: {} for label in parts}
    for key, value in settings.items():
        head, _, rest = key.partition(".")
        if head in parts:
            if not rest:
                raise Misuse(f"{section}.{head} is a part of {spec!r}; set one of its options, {section}.{head}.NAME")
            own[head][rest] = value
            continue
        takers = [label for label, signature in parts.items() if head in signature.names() or signature.open]
        if not takers:
            names = [*parts, *(name for signature in parts.values() for name in signature.names())]
            raise Misuse(
                f"no part of operator {spec!r} has an option {head!r} ({section}.{key}){advice(head, names, 'options')}"
            )
        for label in takers:
            common[label][key] = value
    return {label: {**common[label], **own[label]} for label in parts}


def _component_kind(option: Option | None) -> str | None:
    """The kind of component that an option takes, if its type is one of `_ABSTRACTIONS`; else None."""
    if option is None:
        return None
    plain = option.type.replace("Optional[", "").strip("]").removesuffix("| None").strip().rpartition(".")[2]
    return next((kind for kind in KINDS if _ABSTRACTIONS[kind] == plain), None)
