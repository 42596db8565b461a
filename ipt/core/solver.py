"""The one loop: every unknown is denoised by its own prior, the measurement corrects them all, and the noise falls.

    noisy   --prior-->  clean  --rule-->  corrected  --transition-->  less noisy

With all parameters given it is non-blind posterior sampling; with none of the measurement's say, unconditional
sampling.

References:
    Chung, Kim, Kim, Ye, "Parallel Diffusion Models of Operator and Image for Blind Inverse Problems" (CVPR 2023,
    arXiv 2211.10656), algorithm 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import torch
from torch import Tensor

from ipt.core.abilities import Canonicalizable, ability
from ipt.core.guidance import GuidanceRule, Step
from ipt.core.operator import IMAGE, ParametricOperator, Unknowns
from ipt.core.prior import Posterior, Prior
from ipt.core.problem import Problem
from ipt.core.random import Noise
from ipt.core.sampling import Schedule, Transition

Posed = TypeVar("Posed")


@dataclass(frozen=True)
class State:
    """Where a solve stands after `index` of `total` steps.

    Attributes:
        index: steps taken.
        total: steps of the whole solve.
        sigma: noise level of `noisy`.
        noisy: what the next step starts from, by unknown.
        clean: the corrected estimates, normalized; of a smaller image while a solve goes from coarse to fine.
        residual: root mean square of measurement - prediction of each image, (B,), in units of 0..1.
        calls: of each prior's network so far.
        noise: the random streams, to go on from here.
    """

    index: int
    total: int
    sigma: float
    noisy: Unknowns
    clean: Unknowns
    residual: Tensor
    calls: Mapping[str, int]
    noise: Mapping[str, list[Tensor]]

    @property
    def finished(self) -> bool:
        return self.index == self.total


@dataclass(frozen=True)
class Solution:
    """What a solve found.

    Attributes:
        image: (B, C, H, W) in 0..1, not clipped.
        parameters: physical and valid, by name.
        residual: root mean square of what the solution leaves unexplained, (B,); about the noise level when all is
            well.
        trace: residual after every step, (steps, B); at first that of smaller images where there were some.
        sizes: of the image that was solved for, (height, width, steps), from the smallest to its own.
        calls: of each prior's network.
    """

    image: Tensor
    parameters: Unknowns
    residual: Tensor
    trace: Tensor
    sizes: Sequence[tuple[int, int, int]]
    calls: Mapping[str, int]


class Driver(ABC, Generic[Posed]):
    """A way from a measurement to a solution, by states."""

    @abstractmethod
    def problem(
        self,
        measurement: Tensor,
        noise: float | Tensor = 0.01,
        known: Mapping[str, Tensor] | None = None,
        mask: Tensor | None = None,
    ) -> Posed:
        """What a measurement poses, with every argument checked.

        Args:
            measurement: (B, C, H, W) in 0..1.
            noise: standard deviation of the measurement's noise, one or one an image, in units of 0..1.
            known: parameters that are given, physical, (1 or B, ...).
            mask: 1 where something was measured, 0 elsewhere, (1 or B, 1 or C, H, W); None: everywhere.

        Raises:
            IptError: (a ValueError) a parameter that is neither known nor has a prior, a name that the operator does
                not have, values that are not finite, a noise level or a known value for another number of images.
            ValueError: a shape that a prior does not take.
        """

    @abstractmethod
    def steps(self, problem: Posed, seeds: Sequence[int] | None = None, resume: State | None = None) -> Iterator[State]:
        """Solve, a State a step.

        Args:
            problem: made by `problem`.
            seeds: one an image (default 0, 1, ...).
            resume: a State yielded before, of as many steps, to go on from; the seeds are its own.
        """

    @abstractmethod
    def solution(self, problem: Posed, state: State, trace: Sequence[Tensor]) -> Solution:
        """What the last state amounts to, in physical units; trace: the residual of every state."""

    def solve(
        self,
        measurement: Tensor,
        noise: float | Tensor = 0.01,
        known: Mapping[str, Tensor] | None = None,
        seeds: Sequence[int] | None = None,
        mask: Tensor | None = None,
    ) -> Solution:
        """Run `steps` to the end; arguments as of `problem` and `steps`."""
        problem, state, trace = self.problem(measurement, noise, known, mask), None, []
        for state in self.steps(problem, seeds):
            trace.append(state.residual)
        if state is None:
            raise ValueError("the schedule has no steps")
        return self.solution(problem, state, trace)


@dataclass(frozen=True)
class Solver(Driver[Problem]):
    """The loop at one size.

    Attributes:
        operator: the forward model.
        priors: one for each unknown, by name.
        rule: how the measurement corrects the unknowns.
        schedule: noise levels (None: the rule's own).
        transition: from one to the next (None: the rule's own).
    """

    operator: ParametricOperator
    priors: Mapping[str, Prior]
    rule: GuidanceRule
    schedule: Schedule | None = None
    transition: Transition | None = None

    def problem(
        self,
        measurement: Tensor,
        noise: float | Tensor = 0.01,
        known: Mapping[str, Tensor] | None = None,
        mask: Tensor | None = None,
    ) -> Problem:
        return Problem.posed(self.operator, self.priors, measurement, noise, known, mask)

    def sigmas(self) -> list[float]:
        """The noise levels, the last one 0."""
        return [float(level) for level in (self.schedule or self.rule.schedule()).sigmas()]

    def start(self, problem: Problem, noise: Noise, clean: Unknowns | None = None) -> State:
        """Before the first step: noise about `clean`, normalized (None: about zero)."""
        like, sigmas = problem.observation.measurement, self.sigmas()
        if clean is None:
            shapes = {name: normalization.shape for name, normalization in problem.normalizations.items()}
            clean = {name: like.new_zeros(len(like), *shape) for name, shape in shapes.items()}
        levels = self._levels(problem, sigmas[0])
        noisy = {name: value + noise.like(name, value) * levels[name] for name, value in clean.items()}
        return State(
            0,
            len(sigmas) - 1,
            sigmas[0],
            noisy,
            clean,
            like.new_zeros(len(like)),
            dict.fromkeys(clean, 0),
            noise.state(),
        )

    def steps(
        self, problem: Problem, seeds: Sequence[int] | None = None, resume: State | None = None
    ) -> Iterator[State]:
        sigmas, transition = self.sigmas(), self.transition or self.rule.transition()
        total, batch = len(sigmas) - 1, len(problem.observation)
        noise = Noise(range(batch) if seeds is None else seeds)
        state = self.start(problem, noise) if resume is None else resume
        if state.total != total:
            raise ValueError(f"cannot go on: the state is of a solve in {state.total} steps, the schedule has {total}")
        noise.restore(dict(state.noise))
        noisy, calls = dict(state.noisy), dict(state.calls)
        for index in range(state.index, total):
            sigma, sigma_next = sigmas[index : index + 2]
            levels, following = self._levels(problem, sigma), self._levels(problem, sigma_next)
            posteriors, shift = self._corrected(problem, noisy, levels, (sigma, sigma_next), index, total)
            calls = {name: count + 1 for name, count in calls.items()}
            for name, posterior in posteriors.items():
                fresh = noise.like(name, noisy[name])
                value = transition(noisy[name], posterior, levels[name], following[name], fresh)
                noisy = {**noisy, name: value + shift[name] if name in shift else value}
            last = index + 1 == total
            clean = noisy if last else {name: posterior.mean for name, posterior in posteriors.items()}
            residual = problem.observation.rms(problem.residual(clean))
            yield State(index + 1, total, sigma_next, noisy, clean, residual, calls, noise.state())

    def solution(self, problem: Problem, state: State, trace: Sequence[Tensor]) -> Solution:
        parameters = problem.physical(state.clean)
        image, residual = parameters.pop(IMAGE), state.residual
        operator = ability(problem.operator, Canonicalizable)
        if operator is not None and parameters and not problem.known:
            with torch.no_grad():
                image, parameters = operator.canonicalize(image, parameters)
                rest = problem.observation.residual(problem.operator.forward(image, **parameters))
                residual = problem.observation.rms(rest)
        height, width = problem.normalizations[IMAGE].physical_shape[-2:]
        return Solution(
            image, parameters, residual, torch.stack(list(trace)), [(height, width, state.total)], dict(state.calls)
        )

    def _levels(self, problem: Problem, sigma: float) -> dict[str, float]:
        """Each unknown's own noise level."""
        return {
            name: sigma if name == IMAGE else sigma * self.rule.noise_ratio(name, problem.specs[name])
            for name in problem.normalizations
        }

    def _corrected(
        self,
        problem: Problem,
        noisy: Unknowns,
        levels: Mapping[str, float],
        sigmas: tuple[float, float],
        index: int,
        total: int,
    ) -> tuple[dict[str, Posterior], Unknowns]:
        """Every unknown's posterior, its mean corrected by the rule, and what is to be added after the transition; no
        graph survives."""
        with torch.set_grad_enabled(self.rule.needs_gradients):
            if self.rule.needs_gradients:
                noisy = {name: value.detach().requires_grad_() for name, value in noisy.items()}
            posteriors = {name: problem.priors[name].posterior(value, levels[name]) for name, value in noisy.items()}
            correction = self.rule.correct(Step(noisy, posteriors, *sigmas, index, total, levels), problem)
        corrected = {}
        for name, posterior in posteriors.items():
            mean, place = correction.clean.get(name, posterior.mean), posterior.variance_interpolation
            corrected[name] = replace(
                posterior, mean=mean.detach(), variance_interpolation=None if place is None else place.detach()
            )
        return corrected, {name: value.detach() for name, value in correction.shift.items()}
