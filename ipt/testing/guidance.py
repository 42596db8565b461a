"""The contract of a guidance rule: its promises, and the harness that they are tested on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from ipt.core.guidance import Correction, GuidanceRule, Step
from ipt.core.observation import Observation
from ipt.core.operator import IMAGE, ParameterSpec, ParametricOperator, Unknowns
from ipt.core.prior import Prior
from ipt.core.problem import Problem
from ipt.core.sampling import Schedule, Transition
from ipt.linalg.norms import norm
from ipt.operators.blur import Blur
from ipt.priors.analytic import GaussianPrior
from ipt.testing.harness import COMMON, Harness
from ipt.testing.measures import BATCH, Arrays, cast, finite, normal, picture, uniform, untouched
from ipt.testing.promises import Check, Promise, at_most, require

NUDGE = 1e-3
"""Share of a correction that a small step takes."""
ROUNDING = 1e-12
PLACES = 5
"""Number of steps of the rule's own schedule that are tested, the first and the last among them."""


def guidance_checks(
    rule: GuidanceRule,
    *,
    operator: ParametricOperator | None = None,
    priors: Mapping[str, Prior] | None = None,
    image_shape: tuple[int, ...] | None = None,
    device: str | None = None,
) -> list[Check]:
    """The checks of a guidance rule, one per promise, to be called without arguments.

    Args:
        rule: that is checked.
        operator: of the problem that it guides; default: a blur by 5x5 pixels.
        priors: by unknown, "image" included; default: Gaussians.
        image_shape: (C, H, W) of the image; None: (3, 16, 16).
        device: where the check `device` runs; None: on this machine's accelerator, if it has one.
    """
    blur, shape = Blur(5, "circular"), image_shape or (3, 16, 16)
    return GuidanceHarness(rule, operator or blur, dict(priors or {}), shape, device).checks(PROMISES)


@dataclass(frozen=True)
class GuidanceHarness(Harness):
    """A rule with the problem that it guides."""

    component: GuidanceRule
    operator: ParametricOperator
    given: Mapping[str, Prior]
    shape: tuple[int, ...]
    device: str | None = None

    @cached_property
    def specs(self) -> dict[str, ParameterSpec]:
        return self.operator.parameters(self.shape)

    @cached_property
    def posed(self) -> Problem:
        """The problem with a measurement of zeros, as the solver poses it."""
        priors = {name: self.given.get(name) or GaussianPrior() for name in [IMAGE, *self.specs]}
        parameters = {name: torch.zeros(BATCH, *spec.shape, dtype=torch.float64) for name, spec in self.specs.items()}
        image = torch.zeros(BATCH, *self.shape, dtype=torch.float64)
        clear = self.operator.forward(image, **self.operator.constrain(parameters))
        return Problem.posed(self.operator, priors, Observation.checked(clear, 0.01))

    @cached_property
    def sigmas(self) -> list[float]:
        return self.component.schedule().sigmas().tolist()

    @cached_property
    def places(self) -> list[int]:
        last = len(self.sigmas) - 2
        return sorted({round(index * last / (PLACES - 1)) for index in range(PLACES)})

    @cached_property
    def truth(self) -> Unknowns:
        """Normalized unknowns, float64."""
        shapes = {name: normalization.shape for name, normalization in self.posed.normalizations.items()}
        found = {name: 2 * uniform((BATCH, *shape), f"truth {name}") - 1 for name, shape in shapes.items()}
        return {**found, IMAGE: self.posed.normalizations[IMAGE].normalized(picture(self.shape))}

    @torch.no_grad()
    def arguments(self) -> Arrays:
        """Measurements of the truth, with a noise level per image, and standard normal noise for every unknown."""
        levels = torch.tensor([0.01, 0.05, 0.02], dtype=torch.float64).reshape(-1, 1, 1, 1)
        clear = self.posed.predict(self.truth)
        return {
            "data": {"measurement": clear + levels * normal(tuple(clear.shape), "measurement"), "noise": levels},
            "truth": dict(self.truth),
            "noise": {name: normal(tuple(value.shape), f"noise {name}") for name, value in self.truth.items()},
        }

    def problem(self, arguments: Arrays) -> Problem:
        return replace(
            self.posed, observation=Observation(arguments["data"]["measurement"], arguments["data"]["noise"])
        )

    def step(
        self, rule: GuidanceRule, arguments: Arrays, index: int, nudge: Mapping[str, Tensor] | None = None
    ) -> Step:
        """A step of the solver's loop at an index of the rule's own schedule; nudge: added to the noisy unknowns."""
        sigma, sigma_next = self.sigmas[index : index + 2]
        ratios = {IMAGE: 1.0} | {name: rule.noise_ratio(name, spec) for name, spec in self.specs.items()}
        levels = {name: sigma * ratios[name] for name in arguments["truth"]}
        noisy = {name: value + levels[name] * arguments["noise"][name] for name, value in arguments["truth"].items()}
        noisy = {name: value + nudge[name] if nudge and name in nudge else value for name, value in noisy.items()}
        with torch.set_grad_enabled(rule.needs_gradients):
            if rule.needs_gradients:
                noisy = {name: value.detach().requires_grad_() for name, value in noisy.items()}
            priors = self.posed.priors
            posteriors = {name: priors[name].posterior(value, levels[name]) for name, value in noisy.items()}
            return Step(noisy, posteriors, levels, sigma, sigma_next, index, len(self.sigmas) - 1)

    def correct(self, rule: GuidanceRule, step: Step, problem: Problem) -> Correction:
        with torch.set_grad_enabled(rule.needs_gradients):
            return rule.correct(step, problem)

    @cached_property
    def corrections(self) -> dict[int, Correction]:
        """The rule's corrections in single precision, by the step's index."""
        arguments = cast(self.arguments(), torch.float32, "cpu")
        problem = self.problem(arguments)
        return {
            index: self.correct(self.component, self.step(self.component, arguments, index), problem)
            for index in self.places
        }

    def answers(self, component: GuidanceRule, arguments: Arrays) -> dict[str, Tensor]:
        problem = self.problem(arguments)
        found: dict[str, Tensor] = {}
        for index in self.places[:-1:2]:
            found |= named(self.correct(component, self.step(component, arguments, index), problem), index)
        return found


def named(correction: Correction, index: int) -> dict[str, Tensor]:
    """The tensors of a correction at a step, by name."""
    clean = {f"clean {name} at step {index}": value.detach() for name, value in correction.clean.items()}
    return clean | {f"shift of {name} at step {index}": value.detach() for name, value in correction.shift.items()}


def _schedule(harness: GuidanceHarness) -> None:
    for steps in (None, 7):
        schedule = harness.component.schedule(steps)
        require(isinstance(schedule, Schedule), f"schedule({steps}) is a {type(schedule).__name__}, not a Schedule")
        sigmas = schedule.sigmas()
        require(steps is None or len(sigmas) == steps + 1, f"schedule({steps}) has {len(sigmas) - 1} steps")
        require(bool(torch.isfinite(sigmas).all()), f"schedule({steps}) has noise levels that are not finite")
        falling = bool((sigmas.diff() < 0).all()) and float(sigmas[-1]) == 0
        require(
            falling, f"schedule({steps}) does not fall strictly to 0: {sigmas[:3].tolist()} ... {float(sigmas[-1])}"
        )
    transition = harness.component.transition()
    require(isinstance(transition, Transition), f"transition() is a {type(transition).__name__}, not a Transition")
    for name, spec in harness.specs.items():
        ratio = harness.component.noise_ratio(name, spec)
        require(math.isfinite(ratio) and ratio > 0, f"noise_ratio({name!r}) is {ratio}, not a finite number above 0")


def _shapes(harness: GuidanceHarness) -> None:
    for correction in harness.corrections.values():
        require(
            isinstance(correction, Correction), f"correct() returns a {type(correction).__name__}, not a Correction"
        )
        for part, values in (("clean", correction.clean), ("shift", correction.shift)):
            for name, value in values.items():
                require(name in harness.truth, f"{part} names {name!r}; the unknowns are {', '.join(harness.truth)}")
                shapes = tuple(value.shape), tuple(harness.truth[name].shape)
                require(shapes[0] == shapes[1], f"{part} of {name} is {shapes[0]}, the unknown is {shapes[1]}")


def _inputs(harness: GuidanceHarness) -> None:
    arguments = harness.arguments()
    problem = harness.problem(arguments)
    for index in harness.places[:-1:2]:
        step = harness.step(harness.component, arguments, index)
        given = {"measurement": problem.observation.measurement, "noise": problem.observation.noise}
        with untouched({"step.noisy": step.noisy, "step.clean": step.clean, "problem": given}):
            harness.correct(harness.component, step, problem)


def _finite(harness: GuidanceHarness) -> None:
    for index, correction in harness.corrections.items():
        finite(named(correction, index), f" (sigma {harness.sigmas[index]:.3g})", fix="")


def _lowers_misfit(harness: GuidanceHarness) -> None:
    """A small step along the correction must lower the norm of the residual."""
    arguments = harness.arguments()
    problem = harness.problem(arguments)
    index = harness.places[len(harness.places) // 2]
    step = harness.step(harness.component, arguments, index)
    # A second step for the rule, so that one that changes its inputs breaks only the promise `inputs`.
    correction = harness.correct(harness.component, harness.step(harness.component, arguments, index), problem)
    require(bool(correction.clean or correction.shift), "It corrects nothing")
    shift = {name: NUDGE * value.detach() for name, value in correction.shift.items()}
    with torch.no_grad():
        clean = dict(harness.step(harness.component, arguments, index, shift).clean)
        for name, value in correction.clean.items():
            clean[name] = clean[name] + NUDGE * (value.detach() - step.clean[name].detach())
        before, after = norm(problem.residual(step.clean)), norm(problem.residual(clean))
    worst = float(((after - before) / before).max())
    at_most(worst, -ROUNDING, f"change of the norm of the residual by {NUDGE:g} of the correction at step {index}")


PROMISES = (
    Promise(
        "schedule",
        "`schedule` gives as many noise levels as asked, falling strictly to 0, and `transition` a Transition",
        "return one of ipt.sampling.schedules, for `steps` steps (None: the usual number), and one of its transitions",
        _schedule,
    ),
    Promise(
        "shapes",
        "`correct` returns a Correction with names of unknowns, each of its unknown's shape",
        "return Correction(clean={name: ...}, shift={name: ...}), normalized by problem.normalizations[name]",
        _shapes,
        root=True,
    ),
    *(promise for promise in COMMON if promise.name != "inputs"),
    Promise(
        "inputs",
        "`correct` changes nothing of the step or the problem",
        "write x = x - ... instead of x -= ..., and copy a mapping before changing it: dict(step.clean)",
        _inputs,
    ),
    Promise(
        "finite",
        "`correct` is finite from the first sigma of the rule's own schedule to the last",
        "divide by sigma_next, a norm or a variance only where it cannot be 0; sigma_next is 0 at the last step",
        _finite,
    ),
    Promise(
        "lowers-misfit",
        "a small step along the correction brings the prediction of every image nearer to its measurement",
        "look for a wrong sign, for physical values where normalized ones belong, and for unknowns mixed up by order",
        _lowers_misfit,
    ),
)
