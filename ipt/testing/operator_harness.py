"""`OperatorHarness`: an operator with test images, typical parameters, measurements and beliefs."""

from __future__ import annotations

import contextlib
import math
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ipt.core.abilities import Belief, ExactSteps, ability
from ipt.core.observation import Observation
from ipt.core.operator import IMAGE, Generator, ParameterSpec, ParametricOperator, Unknowns, constrained
from ipt.core.prior import Prior, Replicated
from ipt.linalg.covariances import Isotropic
from ipt.plugins.building import build_component
from ipt.plugins.usual import usual_prior
from ipt.testing.draws import draws
from ipt.testing.harness import Harness, first_taken
from ipt.testing.measures import BATCH, Arrays, normal, picture, rms, uniform, untouched
from ipt.testing.returned import real, real_by_name

SHAPES = (
    *((3, 16, 24), (1, 16, 24), (2, 16, 24), (3, 32, 48), (1, 32, 48)),
    *((3, 64, 64), (1, 64, 64), (3, 256, 256), (1, 1, 64), (1, 64, 1)),
)
"""Shapes of images that are tried in this order if none is given; the first one that the operator takes is used."""
NOISE = 0.01


@dataclass(frozen=True)
class OperatorHarness(Harness):
    """An operator with test arguments; given: typical values of parameters, or generators of them, by name."""

    component: ParametricOperator
    image_shape: tuple[int, ...] | None
    given: Mapping[str, Tensor | Generator]
    device: str | None

    @cached_property
    def shape(self) -> tuple[int, ...]:
        return self.image_shape or first_taken(self.component.parameters, SHAPES, "image_shape")

    @cached_property
    def specs(self) -> dict[str, ParameterSpec]:
        return self.component.parameters(self.shape)

    @cached_property
    def loose(self) -> Unknowns:
        """The parameters before they are constrained, float64."""
        return {name: self._drawn(name, spec) for name, spec in self.specs.items()}

    def _drawn(self, name: str, spec: ParameterSpec) -> Tensor:
        given = self.given.get(name)
        if isinstance(given, Generator):
            return given.sample(range(BATCH), spec.shape).double()
        if given is not None:
            return given.double()[torch.arange(BATCH) % len(given)]
        return drawn(spec, name)

    @cached_property
    def point(self) -> Unknowns:
        """An image and valid parameters, float64."""
        return {IMAGE: picture(self.shape), **self.valid(self.loose)}

    def valid(self, loose: Mapping[str, Tensor]) -> Unknowns:
        """The parameters after `constrain`, which gets copies."""
        real_by_name(self.component.constrain({name: value.clone() for name, value in loose.items()}), "constrain")
        return constrained(self.component, self.specs, {name: value.clone() for name, value in loose.items()})

    @torch.no_grad()
    def arguments(self) -> Arrays:
        image, valid = self.point[IMAGE], {name: self.point[name] for name in self.specs}
        clear = predicted(self.component, self.point)
        measurement = clear + NOISE * normal(tuple(clear.shape), "measurement")
        return {
            "images": {IMAGE: image.clone(), "measurement": measurement},
            "beliefs": {IMAGE: image + 0.1 * normal(tuple(image.shape), "belief")},
            "parameters": {name: value.clone() for name, value in valid.items()},
            "loose": {name: value.clone() for name, value in self.loose.items()},
            "deviations": {"noise": torch.full((BATCH, 1, 1, 1), NOISE, dtype=torch.float64)},
        }

    @cached_property
    def untried(self) -> bytes | None:
        try:
            return pickle.dumps(self.component)
        except Exception:
            return None

    @torch.no_grad()
    def unusual_call(self) -> None:
        values = {name: 2 * value - 0.7 * scale_of(value) for name, value in self.point.items()}
        # Whether `forward` can take such values is not the question here.
        with untouched({"forward": values}), contextlib.suppress(Exception):
            self.component.forward(**values)

    @torch.no_grad()
    def answers(self, component: ParametricOperator, arguments: Arrays) -> dict[str, Tensor]:
        images, valid, loose = arguments["images"], arguments["parameters"], arguments["loose"]
        found = {"forward": component.forward(images[IMAGE], **valid)}
        found |= {f"constrain {name}": value for name, value in component.constrain(loose).items()}
        observation = Observation(images["measurement"], arguments["deviations"]["noise"])
        seen = believed(arguments["beliefs"][IMAGE], 0.1)
        beliefs = {name: believed(value, 0.1 * scale_of(self.loose[name])) for name, value in loose.items()}
        exact = ability(component, ExactSteps)
        if exact is None:
            return found
        step = exact.parameter_step(observation, seen, beliefs, {}) if beliefs else None
        if step is not None:
            steps = real_by_name(step, "parameter_step")
            found |= {f"parameter_step {name}": value for name, value in steps.items()}
        for called, what in (("image_step", {}), ("image_step with beliefs", beliefs)):
            moved = exact.image_step(observation, seen, valid, what)
            if moved is not None:
                found[called] = real(moved, called)
        return found


def drawn(spec: ParameterSpec, name: str) -> Tensor:
    """Draws from a parameter's default prior, (BATCH, *spec.shape), physical; uniform in 0..1 if it has none.

    Of a range with one end they lie within 1 of that end.
    """
    if usual_prior(spec) != "":
        # A prior that cannot be built fails the check `usual-prior`, and no other.
        with contextlib.suppress(ValueError, OSError):
            prior = made_prior(spec)
            normalization = prior.normalization(spec.shape)
            return normalization.physical(draws(prior, normalization.shape))
    values = uniform((BATCH, *spec.shape), f"parameter {name}")
    low, high = (-math.inf, math.inf) if spec.range is None else spec.range
    if math.isfinite(low):
        return low + values
    return high - values if math.isfinite(high) else values


def made_prior(spec: ParameterSpec) -> Prior:
    """The default prior of a parameter, as the solver uses it; IptError if it cannot be built."""
    usual = usual_prior(spec)
    prior = build_component("prior", usual) if isinstance(usual, str) else usual
    return prior if spec.copies == 1 else Replicated(prior, spec.copies)


def scale_of(value: Tensor) -> float:
    """The root mean square, or 1 if that is 0."""
    return rms(value) or 1.0


def believed(mean: Tensor, deviation: float) -> Belief:
    """A belief with independent entries."""
    return Belief(mean, Isotropic.like(mean, deviation), deviation)


def predicted(operator: ParametricOperator, point: Mapping[str, Tensor]) -> Tensor:
    """`forward` of copies of image and parameters: changing its arguments breaks only the promise `inputs`."""
    return real(operator.forward(**{name: value.clone() for name, value in point.items()}), "forward")
