"""The one loop: every unknown is denoised by its own prior, the measurement corrects them all, and the noise falls.

    noisy   --prior-->  clean  --rule-->  corrected  --transition-->  less noisy

With all parameters given it is non-blind posterior sampling; with none of the measurement's say, unconditional
sampling. Where rule, operator and priors allow it, the loop runs first for the picture at half its size, or a quarter,
and goes on from there (coarse to fine).
Chung, Kim, Kim, Ye, "Parallel Diffusion Models of Operator and Image for Blind Inverse Problems" (CVPR 2023,
arXiv 2211.10656), algorithm 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ipt.core.charts import Chart
from ipt.core.copies import Copies
from ipt.core.errors import IptError
from ipt.core.interfaces import (
    IMAGE,
    Correction,
    Estimate,
    GuidanceRule,
    ParametricOperator,
    Prior,
    Step,
    Transition,
    Unknowns,
)
from ipt.core.problem import Problem, rms
from ipt.core.pyramid import doubled, halved
from ipt.core.randomness import Noise
from ipt.core.schedules import Schedule


@dataclass(frozen=True)
class State:
    """Where a solve stands after `index` of `total` steps.

    noisy: what the next step starts from. clean: the corrected estimates, normalised; of a smaller picture while the
    solve goes from coarse to fine. residual: root mean square of measurement - prediction an image, (B,), in units of
    0..1. calls: of each prior's network so far. noise: the random streams, to go on from here.
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
    """What a solve found: image (B, C, H, W) in 0..1 (not clipped), parameters physical and valid, by name.

    residual (B,): root mean square of what the solution leaves unexplained; about the noise level when all is well.
    trace: residual after every step, (steps, B), at first that of smaller pictures where there were some. sizes: of the
    picture that was solved for, (height, width, steps), from the smallest to its own. calls: of each prior's network.
    """

    image: Tensor
    parameters: Unknowns
    residual: Tensor
    trace: Tensor
    sizes: Sequence[tuple[int, int, int]]
    calls: Mapping[str, int]


@dataclass(frozen=True)
class _Size:
    """The loop's business at one size of the picture: the problem, the priors, noise levels; enlarged: from what the
    problem's physical unknowns are to those, before `constrain`, of the next larger size."""

    problem: Problem
    priors: Mapping[str, Prior]
    sigmas: Sequence[float]
    enlarged: Callable[[Unknowns], Unknowns] | None = None

    @property
    def steps(self) -> int:
        return len(self.sigmas) - 1

    @property
    def told(self) -> tuple[int, int, int]:
        height, width = self.problem.charts[IMAGE].physical_shape[-2:]
        return height, width, self.steps


@dataclass(frozen=True)
class Solver:
    """An operator, a prior for each unknown by name, a rule, and a schedule and transition (default: the rule's
    own)."""

    operator: ParametricOperator
    priors: Mapping[str, Prior]
    rule: GuidanceRule
    schedule: Schedule | None = None
    transition: Transition | None = None

    def problem(self, measurement: Tensor, noise: float | Tensor, known: Mapping[str, Tensor] | None = None) -> Problem:
        """The problem that a measurement (B, C, H, W) poses, with every argument checked.

        Raises IptError, a ValueError: a parameter that is neither known nor has a prior, a name that the operator does
        not have, a shape that a prior does not take, values that are not finite, a noise level or a known value for
        another number of images.
        """
        if measurement.ndim != 4:
            raise IptError(f"a measurement is (batch, channels, height, width), not {tuple(measurement.shape)}")
        if not torch.isfinite(measurement).all():
            raise IptError("the measurement has NaN or infinite values")
        known = dict(known or {})
        image_shape = self.operator.image_shape(tuple(measurement.shape[1:]))
        specs = self.operator.parameters(image_shape)
        for name in [*self.priors, *known]:
            if name != IMAGE and name not in specs:
                raise IptError(f"the operator has no parameter {name!r}; it has {', '.join(specs) or 'none'}")
        if IMAGE in known:
            raise IptError(f"{IMAGE!r} is what is solved for; only the operator's parameters can be given")
        shapes = {IMAGE: image_shape} | {name: spec.shape for name, spec in specs.items() if name not in known}
        for name in shapes:
            if name not in self.priors:
                raise IptError(f"{name!r} is unknown and has no prior: give it one, or its value")
        for name, value in known.items():
            wanted = (len(measurement), *specs[name].shape)
            # A known parameter of another size (a smaller kernel) is the operator's business; its rank is not.
            if value.ndim != len(wanted) or len(value) not in (1, len(measurement)):
                raise IptError(f"known {name!r} is {tuple(value.shape)}, the operator's is {wanted}")
            if not torch.isfinite(value).all():
                raise IptError(f"known {name!r} has NaN or infinite values")
            known[name] = value.expand(len(measurement), *value.shape[1:]).to(measurement)
        level = torch.as_tensor(noise, dtype=measurement.dtype, device=measurement.device).reshape(-1, 1, 1, 1)
        if not (level > 0).all() or not torch.isfinite(level).all():
            raise IptError(f"the noise level must be above 0 and finite, not {noise}")
        if len(level) not in (1, len(measurement)):
            raise IptError(f"{len(level)} noise levels for {len(measurement)} images: give one, or one an image")
        priors = self._priors(measurement)
        return Problem(
            measurement=measurement,
            noise=level.expand(len(measurement), 1, 1, 1),
            operator=self.operator,
            charts={name: _chart(name, priors[name], shape) for name, shape in shapes.items()},
            known=known,
        )

    def steps(
        self,
        measurement: Tensor,
        noise: float | Tensor = 0.01,
        known: Mapping[str, Tensor] | None = None,
        seeds: Sequence[int] | None = None,
        resume: State | None = None,
    ) -> Iterator[State]:
        """Solve, a State a step.

        seeds: one an image (default 0, 1, ...). resume: a State yielded before, of as many steps, to go on from.
        noise: standard deviation of the measurement's noise, one or one an image, in units of 0..1.
        """
        sizes = self._sizes(measurement, noise, known)
        transition = self.transition or self.rule.transition()
        total = sum(size.steps for size in sizes)
        random = Noise(range(len(measurement)) if seeds is None else seeds)
        if resume is not None and resume.total != total:
            raise ValueError(f"cannot go on: the state is of a solve in {resume.total} steps, the schedule has {total}")
        noisy: Unknowns = {}
        calls, start = dict.fromkeys(sizes[-1].problem.charts, 0), 0
        if resume is not None:
            random.restore(dict(resume.noise))
            noisy, calls, start = dict(resume.noisy), dict(resume.calls), resume.index
        first = 0
        for smaller, size in zip([None, *sizes], sizes, strict=False):
            for index in range(max(start - first, 0), size.steps):
                if index == 0:
                    noisy = self._begun(size, smaller, noisy, random)
                sigma, sigma_next = size.sigmas[index : index + 2]
                estimates, correction = self._correct(size, noisy, index)
                calls = {name: count + 1 for name, count in calls.items()}
                following = {}
                for name, estimate in estimates.items():
                    fresh = random.like(name, noisy[name])
                    ratio = self.rule.noise_ratio(name)
                    value = transition(noisy[name], estimate, ratio * sigma, ratio * sigma_next, fresh)
                    following[name] = value + correction.shift[name] if name in correction.shift else value
                noisy = following
                clean = {name: estimate.clean for name, estimate in estimates.items()}
                if index + 1 == size.steps:
                    clean = noisy
                residual = rms(size.problem.residual(clean))
                yield State(first + index + 1, total, sigma_next, noisy, clean, residual, calls, random.state())
            first += size.steps

    def solve(
        self,
        measurement: Tensor,
        noise: float | Tensor = 0.01,
        known: Mapping[str, Tensor] | None = None,
        seeds: Sequence[int] | None = None,
    ) -> Solution:
        """Run `steps` to the end."""
        trace = []
        state = None
        for state in self.steps(measurement, noise, known, seeds):
            trace.append(state.residual)
        if state is None:
            raise ValueError("the schedule has no steps")
        return self.solution(state, self.problem(measurement, noise, known), trace)

    def solution(self, state: State, problem: Problem, trace: Sequence[Tensor]) -> Solution:
        """What a state amounts to, in physical units."""
        physical = problem.physical(state.clean)
        image, parameters, residual = physical.pop(IMAGE), physical, state.residual
        if parameters and not problem.known:
            with torch.no_grad():
                image, parameters = self.operator.canonical(image, parameters)
                residual = rms(problem.measurement - self.operator.forward(image, **parameters))
        sizes = [size.told for size in self._sizes(problem.measurement, problem.noise, problem.known)]
        return Solution(image, parameters, residual, torch.stack(list(trace)), sizes, dict(state.calls))

    def _sizes(self, measurement: Tensor, noise: float | Tensor, known: Mapping[str, Tensor] | None) -> list[_Size]:
        """The sizes at which the picture is solved for, from the smallest to its own."""
        levels = (self.schedule or self.rule.schedule()).sigmas().tolist()
        sizes = [_Size(self.problem(measurement, noise, known), self._priors(measurement), levels)]
        while (smaller := self._smaller(sizes[0])) is not None:
            sizes.insert(0, smaller)
        return [replace(size, sigmas=self._onwards(levels, doubling)) for doubling, size in enumerate(sizes)]

    def _onwards(self, levels: Sequence[float], doubling: int) -> Sequence[float]:
        """The noise levels from the rule's restart on, with which at least one step is taken."""
        restart = self.rule.restart(doubling) if doubling else None
        begin = 0 if restart is None else sum(level > restart for level in levels)
        return levels[min(begin, len(levels) - 2) :]

    def _smaller(self, size: _Size) -> _Size | None:
        """The same with a picture of half the sides; None where rule, operator or priors have no use for that."""
        problem = size.problem
        if self.rule.restart(1) is None or problem.known:
            return None
        shape = problem.charts[IMAGE].physical_shape
        half = problem.operator.halved(shape)
        if half is None:
            return None
        solver, measurement = replace(self, operator=half.operator), halved(problem.measurement)
        try:
            small = solver.problem(measurement, problem.noise)
        except IptError:
            # A prior that takes no such pictures, or parameters.
            return None

        def enlarged(found: Unknowns) -> Unknowns:
            parameters = dict(found)
            image, parameters = half.operator.canonical(parameters.pop(IMAGE), parameters)
            return {IMAGE: doubled(image, (shape[-2], shape[-1])), **half.doubled(parameters)}

        return _Size(small, solver._priors(measurement), size.sigmas, enlarged)

    def _begun(self, size: _Size, smaller: _Size | None, found: Unknowns, random: Noise) -> Unknowns:
        """What the first step at a size starts from: noise, and what was found at the smaller size, if there was."""
        like, sigma = size.problem.measurement, size.sigmas[0]
        clean = {name: like.new_zeros(len(like), *chart.shape) for name, chart in size.problem.charts.items()}
        if smaller is not None and smaller.enlarged is not None:
            with torch.no_grad():
                physical = smaller.enlarged(smaller.problem.physical(found))
            clean = {name: size.problem.charts[name].normalised(physical[name]) for name in clean}
        return {
            name: value + random.like(name, value) * (sigma * self.rule.noise_ratio(name))
            for name, value in clean.items()
        }

    def _priors(self, measurement: Tensor) -> dict[str, Prior]:
        """The priors as these unknowns need them: of their size, and for a parameter of several copies, one that sees
        each alone."""
        image_shape = self.operator.image_shape(tuple(measurement.shape[1:]))
        specs = self.operator.parameters(image_shape)
        copies = {name: spec.copies for name, spec in specs.items()}
        priors = {
            name: prior if copies.get(name, 1) == 1 else Copies(prior, copies[name])
            for name, prior in self.priors.items()
        }
        if IMAGE in priors:
            priors[IMAGE] = priors[IMAGE].sized(image_shape)
        return priors

    def _correct(self, size: _Size, noisy: Unknowns, index: int) -> tuple[dict[str, Estimate], Correction]:
        """Denoise every unknown once, and let the rule correct the estimates; no graph survives."""
        problem, priors, (sigma, sigma_next) = size.problem, size.priors, size.sigmas[index : index + 2]
        with torch.set_grad_enabled(self.rule.needs_gradients):
            if self.rule.needs_gradients:
                noisy = {name: value.detach().requires_grad_() for name, value in noisy.items()}
            levels = {name: sigma * self.rule.noise_ratio(name) for name in noisy}
            estimates = {name: priors[name].estimate(value, levels[name]) for name, value in noisy.items()}
            spreads = {name: priors[name].spread(value, levels[name]) for name, value in noisy.items()}
            wide = {name: priors[name].prior_spread(value, levels[name]) for name, value in noisy.items()}
            step = Step(
                noisy=noisy,
                clean={name: estimate.clean for name, estimate in estimates.items()},
                sigma=sigma,
                sigma_next=sigma_next,
                index=index,
                total=size.steps,
                levels=levels,
                uncertainty={name: priors[name].uncertainty(level) for name, level in levels.items()},
                spreads={name: spread for name, spread in spreads.items() if spread is not None},
                prior_spreads={name: spread for name, spread in wide.items() if spread is not None},
            )
            correction = self.rule.correct(step, problem)
        corrected = {}
        for name, estimate in estimates.items():
            clean = correction.clean.get(name, estimate.clean).detach()
            mix = estimate.variance_mix
            corrected[name] = replace(estimate, clean=clean, variance_mix=None if mix is None else mix.detach())
        shift = {name: value.detach() for name, value in correction.shift.items()}
        return corrected, Correction({}, shift)


def _chart(name: str, prior: Prior, shape: tuple[int, ...]) -> Chart:
    """A prior's chart; IptError, naming the unknown, where it refuses the shape, as it may do by any ValueError."""
    try:
        return prior.chart(shape)
    except IptError:
        raise
    except ValueError as error:
        raise IptError(f"the prior of {name!r} does not take {tuple(shape)}: {error}") from error
