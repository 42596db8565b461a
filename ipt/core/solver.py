"""The loop: every unknown is denoised by its prior, corrected by the measurement, and moved to a lower noise level.

    noisy   --prior-->  clean  --rule-->  corrected  --transition-->  less noisy

With all parameters known it is non-blind posterior sampling.

References:
    Chung, Kim, Kim, Ye, "Parallel Diffusion Models of Operator and Image for Blind Inverse Problems" (CVPR 2023,
    arXiv 2211.10656), algorithm 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ipt.core.abilities import Assessment, Canonicalizable, Framed, ability
from ipt.core.guidance import GuidanceRule, Step
from ipt.core.observation import Observation
from ipt.core.operator import IMAGE, Known, ParametricOperator, Unknowns
from ipt.core.prior import Posterior, Prior
from ipt.core.problem import Problem
from ipt.core.sampling import Schedule, Transition
from ipt.linalg.random import Noise


@dataclass(frozen=True)
class State:
    """The state of a solve after `index` of `total` steps."""

    index: int
    total: int
    sigma: float  # noise level of `noisy`
    noisy: Unknowns  # normalized; the next step starts from it
    clean: Unknowns  # corrected estimates, normalized; of a smaller image in the coarse part of a solve
    residual: Tensor  # root mean square of measurement - prediction of each image, (B,), in units of 0..1
    calls: Mapping[str, int]  # number of calls of each prior so far
    noise: Mapping[str, list[Tensor]]  # states of the random streams, to continue from here
    rivals: Mapping[str, Tensor] = field(default_factory=dict)  # physical parameters of all draws at the smallest size

    @property
    def finished(self) -> bool:
        """Whether this is the last state."""
        return self.index == self.total


@dataclass(frozen=True)
class Solution:
    """The result of a solve."""

    image: Tensor  # (B, C, H, W) in 0..1, not clipped; the part in the measured frame
    whole: Tensor  # the image with the frame's surroundings, where the operator is `Framed`; else the same
    parameters: Unknowns  # physical and valid
    residual: Tensor  # root mean square of measurement - prediction, (B,); about the noise level when all is well
    trace: Tensor  # residual after every step, (steps, B), beginning with those of smaller images
    sizes: Sequence[tuple[int, int, int]]  # height, width and steps of each image size, from the smallest up
    calls: Mapping[str, int]  # number of calls of each prior
    assessments: Sequence[Assessment] = ()  # one for each image, where the operator can assess; else none
    operator: ParametricOperator | None = None  # the operator of the parameters; None: the one that was given


@dataclass(frozen=True)
class Solver:
    """The loop at one size."""

    operator: ParametricOperator
    priors: Mapping[str, Prior]
    rule: GuidanceRule
    schedule: Schedule | None = None  # None: the rule's own
    transition: Transition | None = None  # None: the rule's own

    def problem(
        self,
        measurement: Tensor,
        noise: float | Tensor = 0.01,
        known: Known = None,
        mask: Tensor | None = None,
        gain: float | Tensor = 0.0,
    ) -> Problem:
        """The problem that a measurement poses, with every argument checked.

        Args:
            measurement: (B, C, H, W), of pictures in 0..1.
            noise: Standard deviation of its noise: a number, one for each image (B,), or a map (1 or B, 1 or C, H, W).
            known: Known parameters, physical, (1 or B, ...).
            mask: 1 where something was measured, else 0, (1 or B, 1 or C, H, W); None: 1 everywhere.
            gain: Variance of the noise per unit of signal, besides noise^2: 1 / peak where 1 is `peak` counts.

        Raises:
            IptError: An unknown without a prior, or a wrong name, shape, number of images or value.
        """
        return Problem.posed(self.operator, self.priors, Observation.checked(measurement, noise, mask, gain), known)

    def sigmas(self) -> list[float]:
        """The noise levels, one more than there are steps, the last one 0."""
        return [float(level) for level in (self.schedule or self.rule.schedule()).sigmas()]

    def start(self, problem: Problem, noise: Noise, clean: Unknowns | None = None) -> State:
        """The state before the first step: `clean` plus noise, normalized (None: noise alone)."""
        like, sigmas = problem.observation.measurement, self.sigmas()
        clean = clean or {name: like.new_zeros(len(like), *one.shape) for name, one in problem.normalizations.items()}
        levels, calls = self._levels(problem, sigmas[0]), dict.fromkeys(clean, 0)
        noisy = {name: value + levels[name] * noise.like(name, value) for name, value in clean.items()}
        return State(0, len(sigmas) - 1, sigmas[0], noisy, clean, like[:, 0, 0, 0], calls, noise.state())

    def steps(
        self, problem: Problem, seeds: Sequence[int] | None = None, resume: State | None = None
    ) -> Iterator[State]:
        """Solve, yielding a State after each step.

        Args:
            problem: Made by `problem`.
            seeds: A seed for each image; None: 0, 1, ...
            resume: An earlier State of a solve with as many steps, from which this one continues.
        """
        sigmas, transition = self.sigmas(), self.transition or self.rule.transition()
        noise = Noise(range(len(problem.observation)) if seeds is None else seeds)
        state, total = resume or self.start(problem, noise), len(sigmas) - 1
        if state.total != total:
            raise ValueError(f"cannot go on: the state is of a solve in {state.total} steps, the schedule has {total}")
        noise.restore(dict(state.noise))
        for index in range(state.index, total):
            levels, following = (self._levels(problem, sigma) for sigma in sigmas[index : index + 2])
            posteriors, shift = self._corrected(problem, state, levels, sigmas[index + 1], noise)
            noisy: Unknowns = {}
            for name, posterior in posteriors.items():
                value, fresh = state.noisy[name], noise.like(name, state.noisy[name])
                moved = transition(value, posterior, levels[name], following[name], fresh)
                noisy[name] = moved + shift[name] if name in shift else moved
            last, estimates = index + 1 == total, {name: each.mean for name, each in posteriors.items()}
            clean = noisy if last else estimates
            residual = problem.observation.rms(problem.residual(clean))
            calls = {name: count + 1 for name, count in state.calls.items()}
            state = State(index + 1, total, sigmas[index + 1], noisy, clean, residual, calls, noise.state())
            yield state

    def solution(self, problem: Problem, state: State, trace: Sequence[Tensor]) -> Solution:
        """The solution of the last state, in physical units; trace: the residuals of all states."""
        observation, operator, framed = problem.observation, problem.operator, ability(problem.operator, Framed)
        with torch.no_grad():
            image, parameters = canonical(problem, problem.physical(state.clean))
            residual = observation.rms(observation.residual(operator.forward(image, **parameters)))
            assessments = problem.assess(image, parameters, state.rivals)
        shown = image if framed is None else image[(..., *framed.frame(tuple(image.shape[1:])))]
        sizes, residuals = [(shown.shape[-2], shown.shape[-1], state.total)], torch.stack(list(trace))
        return Solution(shown, image, parameters, residual, residuals, sizes, dict(state.calls), assessments, operator)

    def solve(
        self,
        measurement: Tensor,
        noise: float | Tensor = 0.01,
        known: Known = None,
        seeds: Sequence[int] | None = None,
        mask: Tensor | None = None,
        gain: float | Tensor = 0.0,
    ) -> Solution:
        """Pose a problem and take all steps; arguments as in `problem` and `steps`."""
        problem, trace = self.problem(measurement, noise, known, mask, gain), []
        for state in self.steps(problem, seeds):
            trace.append(state.residual)
        return self.solution(problem, state, trace)

    def _levels(self, problem: Problem, sigma: float) -> dict[str, float]:
        """The noise level of each unknown."""
        ratios = {name: self.rule.noise_ratio(name, spec) for name, spec in problem.specs.items()}
        return {name: sigma * ratios.get(name, 1.0) for name in problem.normalizations}

    def _corrected(
        self, problem: Problem, state: State, levels: Mapping[str, float], following: float, noise: Noise
    ) -> tuple[dict[str, Posterior], Unknowns]:
        """Every unknown's posterior with a corrected mean, and the shifts after the transition, all without a graph."""
        with torch.set_grad_enabled(gradients := self.rule.needs_gradients):
            noisy = {name: value.detach().requires_grad_(gradients) for name, value in state.noisy.items()}
            found = {name: problem.priors[name].posterior(value, levels[name]) for name, value in noisy.items()}
            step = Step(noisy, found, levels, levels[IMAGE], following, state.index, state.total, noise)
            correction = self.rule.correct(step, problem)
        for name, one in found.items():
            mean, place = correction.clean.get(name, one.mean).detach(), one.variance_interpolation
            found[name] = replace(one, mean=mean, variance_interpolation=None if place is None else place.detach())
        return found, {name: value.detach() for name, value in correction.shift.items()}


def canonical(problem: Problem, found: Unknowns) -> tuple[Tensor, Unknowns]:
    """Physical image and parameters in the operator's canonical form, where no parameter was known."""
    parameters, operator = dict(found), ability(problem.operator, Canonicalizable)
    image = parameters.pop(IMAGE)
    if operator is None or problem.known or not parameters:
        return image, parameters
    return operator.canonicalize(image, parameters)
