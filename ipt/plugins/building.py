"""Building a solver from names and settings: the place where registered components are imported and called."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ipt.core.errors import IptError
from ipt.plugins.component import KINDS
from ipt.plugins.discovery import discover
from ipt.plugins.options import Option, grouped, scalar, signature_of, value_for
from ipt.plugins.registry import Registry, one_line
from ipt.plugins.suggestions import advice

if TYPE_CHECKING:
    from ipt.core.interfaces import GuidanceRule, ParameterSpec, ParametricOperator, Prior
    from ipt.core.schedules import Schedule
    from ipt.core.solver import Solver

DEFAULT_GUIDANCE = "proximal"
# Only names and usual priors are read off these; a large kernel may not fit in the first.
_NOMINAL_SHAPES = ((3, 256, 256), (3, 4096, 4096), (1, 256, 256))
_ABSTRACTIONS = {
    "operator": "ParametricOperator",
    "prior": "Prior",
    "guidance": "GuidanceRule",
    "generator": "Generator",
}


def build(
    operator: str = "blur",
    prior: str | os.PathLike[str] = "faces",
    guidance: str | None = None,
    *,
    parameters: Mapping[str, str | os.PathLike[str]] | None = None,
    known: Collection[str] = (),
    settings: Mapping[str, Any] | None = None,
    steps: int | None = None,
    device: str | None = None,
    precision: str | None = None,
) -> Solver:
    """The solver that the names and settings describe.

    operator, guidance: registered names (guidance None: "proximal").
    prior: of the image; a prior is a registered name, "name:argument" with the value of its first option
        ("empirical:kernels.npz"), or the path of a network's weights.
    parameters: a prior for each of the operator's parameters, by name; default: the parameter's usual one.
    known: parameters whose values will be given to `solve`, so that they need no prior.
    settings: options by dotted name. "operator.kernel_size", "prior.x", "guidance.scale" go to those factories,
        "kernel.x" to the prior of the parameter `kernel`; "schedule.steps" and "transition.eta" change the rule's own
        schedule and transition. A rule that wraps another takes its name as "guidance.rule" and its options as
        "guidance.rule.scale"; an option that is a mapping takes "guidance.penalties.kernel". Text is read as YAML.
    steps: of the schedule (None: the rule's usual number).
    device, precision: "cpu", "cuda", ...; "fp32", "bf16": for priors that have such an option.

    Raises IptError: an unknown name or option (with a suggestion), a name with two owners, a parameter without a prior,
    a value that a component refuses.
    """
    builder = _Builder(discover(), device, precision)
    sections = grouped(settings or {})
    made_operator = builder.make("operator", operator, sections.pop("operator", {}), "operator")
    specs = _specs(operator, made_operator)
    image_prior = builder.prior(prior, sections.pop("prior", {}), "prior")
    made_rule = builder.make("guidance", guidance or DEFAULT_GUIDANCE, sections.pop("guidance", {}), "guidance")
    schedule = _schedule(made_rule, steps, sections.pop("schedule", {}))
    transition = None
    if "transition" in sections:
        transition = _changed("transition", made_rule.transition(), sections.pop("transition"))
    wanted = _prior_specs(operator, specs, parameters or {}, known, sections)
    priors = {"image": image_prior}
    for name, spec in wanted.items():
        priors[name] = builder.prior(spec, sections.get(name, {}), name)

    from ipt.core.solver import Solver

    return Solver(made_operator, priors, made_rule, schedule, transition)


def build_component(kind: str, name: str, settings: Mapping[str, Any] | None = None) -> Any:
    """One registered component, built with options by (dotted) name.

    kind: "operator", "prior" (a name, "name:argument" or a path), "guidance" or "generator". settings: such as
    {"extent": "[5, 9]"} for the generator `motion`. Raises IptError as `build` does.
    """
    builder = _Builder(discover())
    if kind == "prior":
        return builder.prior(name, settings or {}, kind)
    return builder.make(kind, name, settings or {}, kind)


@dataclass(frozen=True)
class _Builder:
    """Builds components of one registry; device and precision are passed to the priors that have such options."""

    registry: Registry
    device: str | None = None
    precision: str | None = None

    def prior(self, spec: str | os.PathLike[str], settings: Mapping[str, Any], section: str) -> Prior:
        """The prior that a name, "name:argument" or a path stands for."""
        spec = os.fspath(spec)
        head, colon, argument = spec.partition(":")
        if not self.registry.has("prior", spec):
            if colon and self.registry.has("prior", head):
                return self.make("prior", head, settings, section, argument)
            if os.path.exists(spec):
                return self.make("prior", "network", settings, section, spec)
            if os.sep in spec or spec.endswith(".safetensors"):
                raise IptError(
                    f"no prior: there is no file or folder {spec}\n"
                    f"Give a folder of weights that exists, or one of the names that `ipt list prior` shows."
                )
        return self.make("prior", spec, settings, section)

    def make(self, kind: str, name: str, settings: Mapping[str, Any], section: str, argument: str | None = None) -> Any:
        """A component with its options checked. section: what its settings are called, for messages."""
        entry = self.registry.find(kind, name)
        factory = entry.load()
        signature = signature_of(factory)
        names = signature.names()
        who = f"{kind} {name!r}"
        options: dict[str, Any] = {}
        if kind == "prior":
            machine = {"device": self.device, "precision": self.precision}
            options |= {key: value for key, value in machine.items() if key in names and value is not None}
        for key, group in grouped(settings).items():
            option = signature.option(key)
            if option is None and not signature.open:
                raise IptError(f"{who} has no option {key!r} ({section}.{key}){advice(key, names, 'options')}")
            options[key] = self._value(option, group, f"{section}.{key}")
        if argument is not None:
            if not names:
                raise IptError(f"{who} takes no argument, but was given {argument!r}; write {name} alone")
            if names[0] in grouped(settings):
                again = f"{section}.{names[0]}"
                raise IptError(f"{names[0]} of {who} is given twice, in '{name}:{argument}' and as {again}; drop one")
            options[names[0]] = self._value(signature.options[0], {"": argument}, f"{section}.{names[0]}")
        for option in signature.options:
            if option.required and option.name not in options:
                if _component_kind(option) != "guidance":
                    raise IptError(
                        f"{who} needs {option.name!r}: set {section}.{option.name}; "
                        f"`ipt show {kind} {name}` explains its options"
                    )
                options[option.name] = self._value(option, {}, f"{section}.{option.name}")
        return self._called(entry.owner, factory, kind, who, options)

    def _value(self, option: Option | None, group: Mapping[str, Any], key: str) -> Any:
        """The value of an option: a scalar, a mapping of the deeper keys, or a component of its own."""
        kind = _component_kind(option)
        deeper = {name: value for name, value in group.items() if name}
        if kind and isinstance(group.get("", ""), str):
            spec = group.get("", DEFAULT_GUIDANCE if kind == "guidance" else None)
            if spec is None:
                raise IptError(f"{key} is not set, but its options are; set {key} to the name of a {kind}")
            return self.prior(spec, deeper, key) if kind == "prior" else self.make(kind, spec, deeper, key)
        if "" not in group:
            return {name: scalar(value) for name, value in deeper.items()}
        if deeper:
            raise IptError(f"{key} is set both as a whole and in part ({key}.{next(iter(deeper))}); drop one")
        return value_for(option, group[""])

    def _called(self, owner: str, factory: Any, kind: str, who: str, options: Mapping[str, Any]) -> Any:
        from ipt.core import interfaces

        try:
            made = factory(**options)
        except (IptError, OSError, MemoryError):
            raise
        except Exception as error:
            said = str(error) if isinstance(error, ValueError) and str(error) else one_line(error)
            raise IptError(f"{who} of {owner} cannot be built: {said}") from error
        wanted = getattr(interfaces, _ABSTRACTIONS[kind])
        if not isinstance(made, wanted):
            raise IptError(
                f"{who} of {owner} is not an ipt.{wanted.__name__}: its factory returned a {type(made).__name__}.\n"
                f"Report it to the authors of {owner}."
            )
        return made


def _component_kind(option: Option | None) -> str | None:
    """The kind of component an option stands for, when its type is one of the abstractions; else None."""
    if option is None:
        return None
    plain = option.type.replace("Optional[", "").strip("]").removesuffix("| None").strip().rpartition(".")[2]
    return next((kind for kind in KINDS if _ABSTRACTIONS[kind] == plain), None)


def _specs(name: str, operator: ParametricOperator) -> dict[str, ParameterSpec]:
    """The operator's parameters, for the first nominal image that it takes."""
    refusals = []
    for shape in _NOMINAL_SHAPES:
        try:
            return operator.parameters(shape)
        except (TypeError, ValueError) as error:
            refusals.append(str(error))
    raise IptError(f"operator {name!r} takes no image of {', '.join(map(str, _NOMINAL_SHAPES))}: {refusals[0]}")


def _prior_specs(
    operator: str,
    specs: Mapping[str, ParameterSpec],
    parameters: Mapping[str, str | os.PathLike[str]],
    known: Collection[str],
    sections: Mapping[str, Any],
) -> dict[str, str | os.PathLike[str]]:
    """The prior of every unknown parameter; every name that was given is checked to mean something."""
    names = list(specs)
    for name in [*known, *parameters]:
        if name not in specs:
            raise IptError(f"operator {operator!r} has no parameter {name!r}{advice(name, names, 'parameters')}")
    for name in sections:
        if name not in specs:
            known_sections = ["operator", "prior", "guidance", "schedule", "transition", *names]
            raise IptError(f"nothing is set by {name}.*{advice(name, known_sections, 'settings begin with')}")
    for name in known:
        if name in parameters or name in sections:
            raise IptError(f"{name!r} is given, so its prior would not be used; drop its value, or its prior")
    wanted: dict[str, str | os.PathLike[str]] = {}
    for name, spec in specs.items():
        if name in known:
            continue
        wanted[name] = parameters.get(name) or spec.prior
        if not wanted[name]:
            raise IptError(f"{name!r} of operator {operator!r} has no usual prior; name one, or give its value")
    return wanted


def _schedule(rule: GuidanceRule, steps: int | None, settings: Mapping[str, Any]) -> Schedule:
    """The rule's own schedule, with so many steps and its other fields as set."""
    settings = {key: scalar(value) for key, value in settings.items()}
    asked = settings.pop("steps", steps)
    if steps is not None and asked != steps:
        raise IptError(f"the number of steps is given twice: {steps}, and schedule.steps {asked}; drop one")
    if asked is not None and (not isinstance(asked, int) or isinstance(asked, bool) or asked < 1):
        raise IptError(f"the number of steps must be a whole number from 1 up, not {asked!r}")
    try:
        schedule = rule.schedule(asked)
    except ValueError as error:
        raise IptError(f"the schedule cannot have {asked} steps: {error}") from error
    return _changed("schedule", schedule, settings) if settings else schedule


def _changed(section: str, made: Any, settings: Mapping[str, Any]) -> Any:
    """A copy of a dataclass with some fields set."""
    names = [item.name for item in dataclasses.fields(made) if item.init] if dataclasses.is_dataclass(made) else []
    for key in settings:
        if key not in names:
            who = type(made).__name__
            raise IptError(f"{who} has no option {key!r} ({section}.{key}){advice(key, names, 'options')}")
    try:
        return dataclasses.replace(made, **{key: scalar(value) for key, value in settings.items()})
    except (TypeError, ValueError) as error:
        raise IptError(f"{section} cannot be set so: {error}") from error
