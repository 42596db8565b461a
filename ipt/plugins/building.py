"""`ipt.build`: names and settings -> plans of components (`ipt.plugins.plans`) -> a `Multiscale` solver."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ipt
from ipt.core.errors import IptError, Misuse
from ipt.plugins.discovery import discover
from ipt.plugins.options import grouped
from ipt.plugins.plans import DEFAULT_GUIDANCE, Chain, Plan, Planner, Ready
from ipt.plugins.registry import Entry
from ipt.plugins.scalars import scalar
from ipt.plugins.suggestions import advice
from ipt.plugins.usual import usual_prior

if TYPE_CHECKING:
    from ipt.core.guidance import GuidanceRule
    from ipt.core.operator import ParameterSpec, ParametricOperator
    from ipt.core.prior import Prior
    from ipt.core.sampling import Schedule
    from ipt.sampling.multiscale import Multiscale


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
) -> Multiscale:
    """Build the solver that names and settings describe; it solves coarse to fine if the operator allows it.

    Args:
        operator: A registered name, "name:argument" with the value of the first option ("downscale:4"), or
            "name:option=value,option=value" ("blur:kernel_size=33,border=reflect").
            "blur+downscale" composes operators, the first next to the image.
        prior: Of the image: a registered name, "name:argument" ("empirical:kernels.npz"), or the path of a network's
            weights.
        guidance: As the operator; None: "proximal".
        parameters: A prior for each of the operator's parameters, by name; default: the parameter's default prior.
        known: Names of parameters whose values will be given to `solve`, so that they need no prior.
        settings: Options by dotted name. "operator.kernel_size", "prior.x", "guidance.scale" go to those factories,
            "kernel.x" to the prior of the parameter `kernel`; "schedule.steps" and "transition.eta" change the rule's
            own schedule and transition. A rule that wraps another takes its name as "guidance.rule" and its options as
            "guidance.rule.scale"; an option that is a mapping takes "guidance.penalties.kernel". Of a composed
            operator, "operator.downscale.factor" goes to that part (the second of a name is "downscale2"),
            "operator.factor" to every part that has such an option. Text is read as YAML.
        steps: Number of steps of the schedule; None: the rule's default.
        device: "cpu", "cuda", ..., for priors that have such an option.
        precision: "fp32", "bf16", "fp16" or "auto", for priors that have such an option (`ipt.priors.precision`).

    Raises:
        IptError: A name or option is unknown, or offered by several plugins; a parameter has no prior; a component
            refuses a value.
    """
    planner = Planner(discover(), device, precision)
    draft = _Draft.of(planner, operator, prior, guidance, parameters or {}, known, grouped(settings or {}))
    rule = draft.rule.build()
    schedule = _schedule(rule, steps, draft.sections.get("schedule", {}))
    transition = None
    if "transition" in draft.sections:
        transition = _changed("transition", rule.transition(), draft.sections["transition"])
    priors = {name: plan.build() for name, plan in draft.priors.items()}

    from ipt.core.solver import Solver
    from ipt.priors.surrounded import surrounded
    from ipt.sampling.multiscale import Multiscale

    priors["image"] = surrounded(priors["image"], draft.operator)
    return Multiscale(Solver(draft.operator, priors, rule, schedule, transition))


def components(
    operator: str = "blur",
    prior: str | os.PathLike[str] = "faces",
    guidance: str | None = None,
    *,
    parameters: Mapping[str, str | os.PathLike[str]] | None = None,
    known: Collection[str] = (),
    settings: Mapping[str, Any] | None = None,
) -> tuple[Entry, ...]:
    """The registered components that `build` would use, each once; arguments and errors are those of `build`."""
    planner = Planner(discover())
    draft = _Draft.of(planner, operator, prior, guidance, parameters or {}, known, grouped(settings or {}))
    plans = [draft.plan, *draft.priors.values(), draft.rule]
    return tuple(dict.fromkeys(entry for plan in plans for entry in plan.entries()))


def build_component(kind: str, name: str, settings: Mapping[str, Any] | None = None) -> Any:
    """Build one registered component.

    Args:
        kind: "operator", "prior", "guidance" or "generator".
        name: As `build` takes it for that kind.
        settings: Options by dotted name, such as {"extent": "[5, 9]"} for the generator `motion`.

    Raises:
        IptError: As of `build`.
    """
    return Planner(discover()).plan(kind, name, settings or {}, kind).build()


@dataclass(frozen=True)
class _Draft:
    """A solver before it is built, except for its operator, whose parameters determine the priors."""

    plan: Plan | Chain
    operator: ParametricOperator
    priors: Mapping[str, Plan | Chain | Ready]
    rule: Plan | Chain
    sections: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(
        cls,
        planner: Planner,
        operator: str,
        prior: str | os.PathLike[str],
        guidance: str | None,
        parameters: Mapping[str, str | os.PathLike[str]],
        known: Collection[str],
        sections: Mapping[str, Mapping[str, Any]],
    ) -> _Draft:
        plan = planner.plan("operator", operator, sections.get("operator", {}), "operator")
        built = plan.build()
        priors: dict[str, Plan | Chain | Ready] = {
            "image": planner.plan("prior", prior, sections.get("prior", {}), "prior")
        }
        rule = planner.plan("guidance", guidance or DEFAULT_GUIDANCE, sections.get("guidance", {}), "guidance")
        for name, spec in _prior_specs(operator, _specs(operator, built), parameters, known, sections).items():
            own = sections.get(name, {})
            if not isinstance(spec, ipt.Prior):
                priors[name] = planner.plan("prior", spec, own, name)
            elif own:
                raise Misuse(f"nothing is set by {name}.*: its operator brings its prior as it is; name another prior")
            else:
                priors[name] = Ready(spec)
        return cls(plan, built, priors, rule, sections)


def _specs(name: str, operator: ParametricOperator) -> Mapping[str, ParameterSpec]:
    """The operator's parameters, for an image that it takes."""
    from ipt.operators.compose import nominal_parameters

    try:
        return nominal_parameters(operator)
    except IptError as error:
        raise IptError(f"operator {name!r} cannot be used: {error}") from error


def _prior_specs(
    operator: str,
    specs: Mapping[str, ParameterSpec],
    parameters: Mapping[str, str | os.PathLike[str]],
    known: Collection[str],
    sections: Mapping[str, Any],
) -> dict[str, str | os.PathLike[str] | Prior]:
    """The prior of every unknown parameter; Misuse if a name in the arguments is unknown or would have no effect."""
    names = list(specs)
    parts = ["operator", "prior", "guidance", "schedule", "transition"]
    for name in [*known, *parameters]:
        if name not in specs:
            raise Misuse(f"operator {operator!r} has no parameter {name!r}{advice(name, names, 'parameters')}")
    for name in sections:
        if name not in [*parts, *names]:
            raise Misuse(f"nothing is set by {name}.*{advice(name, [*parts, *names], 'settings begin with')}")
    for name in known:
        if name in parameters or name in sections:
            raise Misuse(f"{name!r} is given, so its prior would not be used; drop its value, or its prior")
    wanted: dict[str, str | os.PathLike[str] | Prior] = {}
    for name, spec in specs.items():
        if name in known:
            continue
        wanted[name] = parameters.get(name) or usual_prior(spec)
        if wanted[name] == "":
            raise IptError(
                f"{name!r} of operator {operator!r} has no usual prior and no finite range; name a prior "
                f"(prior={name}=NAME), or give its value (known={name}=FILE.npy)"
            )
    return wanted


def _schedule(rule: GuidanceRule, steps: int | None, settings: Mapping[str, Any]) -> Schedule:
    """The rule's schedule, with the number of steps and other fields as set."""
    settings = {key: scalar(value) for key, value in settings.items()}
    asked = settings.pop("steps", steps)
    if steps is not None and asked != steps:
        raise Misuse(f"the number of steps is given twice: {steps}, and schedule.steps {asked}; drop one")
    if asked is not None and (not isinstance(asked, int) or isinstance(asked, bool) or asked < 1):
        raise Misuse(f"the number of steps must be a whole number from 1 up, not {asked!r}")
    try:
        schedule = rule.schedule(asked)
    except ValueError as error:
        raise IptError(f"the schedule cannot have {asked} steps: {error}") from error
    return _changed("schedule", schedule, settings) if settings else schedule


def _changed(section: str, made: Any, settings: Mapping[str, Any]) -> Any:
    """A copy of a dataclass with some fields changed; Misuse for unknown fields."""
    names = [item.name for item in dataclasses.fields(made) if item.init] if dataclasses.is_dataclass(made) else []
    for key in settings:
        if key not in names:
            who = type(made).__name__
            raise Misuse(f"{who} has no option {key!r} ({section}.{key}){advice(key, names, 'options')}")
    try:
        return dataclasses.replace(made, **{key: scalar(value) for key, value in settings.items()})
    except (TypeError, ValueError) as error:
        raise IptError(f"{section} cannot be set so: {error}") from error
