"""Coarse to fine: a solve that begins with the image at half or a quarter of its sides, and continues at larger sizes.

    smallest level: several draws --most likely--> enlarged, noise added --> next level --> ... --> full size

A wide blur is a narrow one in a small image, so its kernel is easier to find there. Small images are cheap and draws
differ, so several compete, and the one whose image is most likely under the prior continues.

References:
    Fergus et al., "Removing Camera Shake from a Single Photograph", SIGGRAPH 2006.
    Romano, Elad, Milanfar, "The Little Engine that Could: Regularization by Denoising", SIAM Journal on Imaging
    Sciences 10, 2017 (the likelihood of an image by what a denoiser removes from it).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ipt.core.abilities import Coarsenable, CoarseToFine, Framed, ability, framed_shape
from ipt.core.operator import IMAGE, Known, Unknowns
from ipt.core.problem import Problem
from ipt.core.solver import Solution, Solver, State, canonical
from ipt.linalg.norms import rms
from ipt.linalg.random import Noise, image_seed
from ipt.linalg.resampling import doubled, halved
from ipt.sampling.checks import check_differentiable, check_scale
from ipt.sampling.initial import Initializable
from ipt.sampling.refining import Refining
from ipt.sampling.schedules import Tail, cascade

LIKELIHOOD_LEVEL = 0.1
"""Noise level, normalized, at which draws are compared (`denoising_residual`)."""


@dataclass(frozen=True)
class Level:
    """A problem at one image size."""

    solver: Solver
    problem: Problem
    enlarged: Callable[[Unknowns], Unknowns]  # from its physical unknowns to the next level's, before `constrain`
    draws: int = 1  # number of draws of each image, which follow each other in the problem's batch
    initial: Unknowns | None = None  # normalized unknowns to begin at; None: begin with noise alone

    @property
    def size(self) -> tuple[int, int, int]:
        """Height and width of the image in its frame, and number of steps."""
        shape = framed_shape(self.problem.operator, self.problem.normalizations[IMAGE].physical_shape)
        return shape[-2], shape[-1], len(self.solver.sigmas()) - 1

    @property
    def work(self) -> int:
        """Number of pixels over all steps and draws."""
        return math.prod(self.size) * self.draws


@dataclass(frozen=True)
class Multiscale:
    """A solver from coarse to fine where rule, operator and priors allow it and no parameter is known.

    Elsewhere it solves at full size alone. Its methods are those of `Solver`, but a problem is a sequence of levels,
    from the smallest image up, and states count the steps of all levels. A state of a smaller image has several draws
    of each image, one after the other, and its residual is the smallest of them.

    Attributes:
        solver: the solver at full size.
        draws: number of draws that compete at the smallest size; half as many at the next, ..., one at full size.
    """

    solver: Solver
    draws: int = 4

    def problem(
        self,
        measurement: Tensor,
        noise: float | Tensor = 0.01,
        known: Known = None,
        mask: Tensor | None = None,
        gain: float | Tensor = 0.0,
    ) -> tuple[Level, ...]:
        """The problem at every size, the smallest first; arguments as in `Solver.problem`.

        Raises:
            IptError: As in `Solver.problem`; also a picture of another scale than 0..1 (`check_scale`), or a rule that
                needs gradients that an unknown or its prior does not have (`check_differentiable`).
        """
        levels = [Level(self.solver, self.solver.problem(measurement, noise, known, mask, gain), dict)]
        check_scale(self.solver.operator, levels[0].problem.observation.measurement)
        if self.solver.rule.needs_gradients:
            check_differentiable(self.solver.rule, levels[0].problem)
        while (smaller := self._coarser(levels[0])) is not None:
            levels.insert(0, smaller)
        if len(levels) == 1:
            return (self._initialized(self._scheduled(levels)[0]),)
        return tuple(self._scheduled(levels))

    def _scheduled(self, levels: Sequence[Level]) -> list[Level]:
        """Levels with their parts of the schedule, their rules and their draws."""
        schedule = self.solver.schedule or self.solver.rule.schedule()
        rule, refining = ability(self.solver.rule, CoarseToFine), ability(self.solver.rule, Refining)
        refined = self.solver.rule if refining is None else refining.refined()
        starts = [rule.restart(doubling) if rule is not None and doubling else None for doubling in range(len(levels))]
        scheduled = []
        for doubling, (level, part) in enumerate(zip(levels, cascade(schedule, starts), strict=True)):
            own_rule = self.solver.rule if starts[doubling] is None else refined
            draws = max(1, self.draws >> doubling) if doubling + 1 < len(levels) else 1
            solver = replace(level.solver, rule=own_rule, schedule=part)
            scheduled.append(replace(level, solver=solver, problem=level.problem.repeated(draws), draws=draws))
        return scheduled

    def steps(
        self, problem: Sequence[Level], seeds: Sequence[int] | None = None, resume: State | None = None
    ) -> Iterator[State]:
        """Solve, yielding a State after each step; arguments as in `Solver.steps`."""
        total, first, state = sum(level.size[2] for level in problem), 0, resume
        if state is not None and state.total != total:
            raise ValueError(f"cannot go on: the state is of a solve in {state.total} steps, the schedule has {total}")
        image_seeds: Sequence[int] = range(len(problem[-1].problem.observation)) if seeds is None else seeds
        smaller_seeds: list[int] = []
        rivals = {} if state is None else dict(state.rivals)
        for number, level in enumerate(problem):
            start, steps = state, level.size[2]
            own_seeds = [draw_seed(seed, draw) for seed in image_seeds for draw in range(level.draws)]
            if state is not None and number and state.index == first:
                start = _enlarged(problem[number - 1], smaller_seeds, level, state)
                if number == 1:
                    rivals = problem[0].problem.physical(state.clean)
                    del rivals[IMAGE]
            elif state is not None:
                start = replace(state, index=state.index - first, total=steps)
            elif level.initial is not None:
                start = level.solver.start(level.problem, Noise(own_seeds), level.initial)
            if start is None or start.index < steps:
                for found in level.solver.steps(level.problem, own_seeds, start):
                    residual = found.residual.unflatten(0, (-1, level.draws)).amin(1)
                    state = replace(found, index=first + found.index, total=total, residual=residual, rivals=rivals)
                    yield state
            first, smaller_seeds = first + steps, own_seeds

    def share(self, problem: Sequence[Level], state: State) -> float:
        """The share of the work that is done, 0..1; a step counts as many pixels as its images have."""
        number, first = self._at(problem, state)
        level, total = problem[number], sum(each.work for each in problem)
        done = sum(each.work for each in problem[:number])
        return (done + level.work * (state.index - first) / level.size[2]) / total

    def estimate(self, problem: Sequence[Level], state: State) -> Unknowns:
        """The present estimate for each measurement: image in the frame and parameters, physical, (B, C, H, W).

        In the coarse part of a solve it is that of a smaller image, and of the first draw.
        """
        level = problem[self._at(problem, state)[0]]
        with torch.no_grad():
            found = {name: value[:: level.draws] for name, value in level.problem.physical(state.clean).items()}
        framed = ability(level.problem.operator, Framed)
        if framed is not None:
            found[IMAGE] = found[IMAGE][(..., *framed.frame(tuple(found[IMAGE].shape[1:])))]
        return found

    def _at(self, problem: Sequence[Level], state: State) -> tuple[int, int]:
        """The number of a state's level, and of the steps before that level."""
        first = 0
        for number, level in enumerate(problem[:-1]):
            if state.index <= first + level.size[2]:
                return number, first
            first += level.size[2]
        return len(problem) - 1, first

    def solution(self, problem: Sequence[Level], state: State, trace: Sequence[Tensor]) -> Solution:
        """The solution of the last state, in physical units; trace: the residuals of all states."""
        found = problem[-1].solver.solution(problem[-1].problem, state, trace)
        return replace(found, sizes=[level.size for level in problem])

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

    def _initialized(self, level: Level) -> Level:
        """The level with the operator's initial estimate to begin at, where rule and operator allow it."""
        rule, operator = ability(self.solver.rule, CoarseToFine), ability(level.problem.operator, Initializable)
        problem, start = level.problem, None if rule is None else rule.restart(1)
        found = None if start is None or operator is None else operator.initial(problem.observation, problem.known)
        if start is None or found is None:
            return level
        top = self.solver.sigmas()[0]
        like, clean = problem.observation.measurement, {}
        for name, one in problem.normalizations.items():
            if name in found:
                clean[name] = one.normalized(found[name])
            else:
                clean[name] = problem.priors[name].denoise(like.new_zeros(len(like), *one.shape), top)
        # Many exposures determine an image better than one does, so the schedule ends at a lower level.
        shape = framed_shape(problem.operator, problem.normalizations[IMAGE].physical_shape)
        exposures = max(1.0, like[0].numel() / math.prod(shape))
        schedule = Tail(self.solver.schedule or self.solver.rule.schedule(), start, finer=math.sqrt(exposures))
        return replace(level, solver=replace(self.solver, schedule=schedule), initial=clean)

    def _coarser(self, level: Level) -> Level | None:
        """The level with an image of half the sides; None where rule, operator or priors do not support it."""
        rule, operator = ability(self.solver.rule, CoarseToFine), ability(level.problem.operator, Coarsenable)
        if rule is None or operator is None or rule.restart(1) is None or level.problem.known:
            return None
        shape, observation = level.problem.normalizations[IMAGE].physical_shape, level.problem.observation
        if (coarser := operator.coarser(shape)) is None:
            return None
        solver = replace(self.solver, operator=coarser.operator)
        smaller = replace(observation, measurement=halved(observation.measurement))
        if (mask := observation.mask) is not None:
            # Means over the measured pixels; a mean counts where at least half of its pixels were measured.
            share = halved((mask > 0).to(mask))
            mean, weight = smaller.measurement / share.clamp(min=1e-6), halved(mask) / share.clamp(min=1e-6)
            smaller = replace(smaller, measurement=mean, mask=weight * (share >= 0.5))
        try:
            problem = Problem.posed(coarser.operator, self.solver.priors, smaller)
        except ValueError:
            # A prior does not take images or parameters of this size.
            return None

        def enlarged(found: Unknowns) -> Unknowns:
            image, parameters = canonical(problem, found)
            return {IMAGE: doubled(image, (shape[-2], shape[-1])), **coarser.enlarged(parameters)}

        return Level(solver, problem, enlarged)


def draw_seed(seed: int, number: int) -> int:
    """The seed of a competing draw of an image; the first draw has the image's own seed."""
    return seed if number == 0 else image_seed(seed, f"draw {number}")


def denoising_residual(problem: Problem, clean: Tensor, noise: Noise) -> Tensor:
    """How far the prior's denoiser moves images after noise of `LIKELIHOOD_LEVEL` is added: little if they are likely.

    Args:
        problem: whose image prior is used.
        clean: the images, normalized, (B, C, H, W).
        noise: the random streams, one for each image.

    Returns:
        Root mean square of each image's change, (B,), normalized.
    """
    noisy = clean + LIKELIHOOD_LEVEL * noise.like("denoising residual", clean)
    with torch.no_grad():
        return rms(problem.priors[IMAGE].denoise(noisy, LIKELIHOOD_LEVEL) - clean)


def _enlarged(smaller: Level, seeds: Sequence[int], level: Level, state: State) -> State:
    """The first state of a level: the most likely draws of the smaller level, enlarged, plus noise.

    Args:
        smaller: the level before.
        seeds: of its draws.
        level: this level.
        state: the last state of the smaller level.
    """
    streams, chosen = Noise(seeds), torch.arange(len(seeds))
    streams.restore(dict(state.noise))
    if level.draws < smaller.draws:
        unlikeliness = denoising_residual(smaller.problem, state.clean[IMAGE], streams).cpu()
        best = unlikeliness.unflatten(0, (-1, smaller.draws)).argsort(1)[:, : level.draws].sort(1).values
        chosen = (best + smaller.draws * torch.arange(len(best))[:, None]).flatten()
    noise = Noise(range(len(chosen)))
    noise.restore({name: [each[index] for index in chosen] for name, each in streams.state().items()})
    with torch.no_grad():
        physical = smaller.enlarged(smaller.problem.physical(state.clean))
    kept = {name: value[chosen.to(value.device)] for name, value in physical.items()}
    clean = {name: one.normalized(kept[name]) for name, one in level.problem.normalizations.items()}
    return replace(level.solver.start(level.problem, noise, clean), calls=state.calls)
