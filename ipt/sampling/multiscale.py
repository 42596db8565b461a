"""Coarse to fine: a solve that begins with the image at half its size, or a quarter, and goes on from there.

A wide blur is a narrow one in a small picture. What was found there is where the search in the larger one begins.
Small images are cheap, and draws differ: several compete there, and the one whose image is most likely goes on.

References:
    Fergus et al., "Removing Camera Shake from a Single Photograph", SIGGRAPH 2006.
    Romano, Elad, Milanfar, "The Little Engine that Could: Regularization by Denoising", SIAM Journal on Imaging
    Sciences 10, 2017 (how likely an image is, by what a denoiser takes off it).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ipt.core.abilities import Coarsenable, CoarseToFine, Framed, PhysicalUnits, ability, framed_shape
from ipt.core.errors import IptError
from ipt.core.guidance import GuidanceRule
from ipt.core.operator import IMAGE, Known, ParametricOperator, Unknowns
from ipt.core.problem import Problem
from ipt.core.solver import Solution, Solver, State, canonical
from ipt.linalg.norms import rms
from ipt.linalg.random import Noise, image_seed
from ipt.linalg.resampling import doubled, halved
from ipt.sampling.initial import Initializable
from ipt.sampling.refining import Refining
from ipt.sampling.schedules import Tail, cascade

LIKELIHOOD_LEVEL = 0.1
"""Noise level, normalized, at which images are told apart by how likely they are."""
_FAR = 10.0
"""Mean size of values that are of another scale, such as 0..255."""


@dataclass(frozen=True)
class Level:
    """A problem at one size."""

    solver: Solver
    problem: Problem
    enlarged: Callable[[Unknowns], Unknowns]  # from its physical unknowns to the next level's, before `constrain`
    draws: int = 1  # of each image; the problem has as many of each, one after the other
    initial: Unknowns | None = None  # normalized, to begin at instead of with nothing

    @property
    def size(self) -> tuple[int, int, int]:
        """Height and width of the image, and steps."""
        shape = framed_shape(self.problem.operator, self.problem.normalizations[IMAGE].physical_shape)
        return shape[-2], shape[-1], len(self.solver.sigmas()) - 1

    @property
    def work(self) -> int:
        """Pixels of all steps and draws."""
        return math.prod(self.size) * self.draws


@dataclass(frozen=True)
class Multiscale:
    """A solver from coarse to fine, where rule, operator and priors allow it and no parameter is known; else as it is.

    Its methods are those of `Solver`; a problem is one of every size, from the smallest to the image's own, and states
    count the steps of all of them together. Those of a smaller image are of several draws for each image, one after
    the other, and their residual is the least of them.
    """

    solver: Solver
    draws: int = 4  # compete at the smallest size, half as many at the next, and so on; one at full size

    def problem(
        self,
        measurement: Tensor,
        noise: float | Tensor = 0.01,
        known: Known = None,
        mask: Tensor | None = None,
        gain: float | Tensor = 0.0,
    ) -> tuple[Level, ...]:
        """What a measurement poses at every size; arguments as of `Solver.problem`.

        Raises:
            IptError: As of `Solver.problem`; values of another scale than 0..1, where the operator does not say that it
                measures no pictures (`ipt.PhysicalUnits`); a rule that differentiates through priors, and an unknown in
                which that cannot be done.
        """
        levels = [Level(self.solver, self.solver.problem(measurement, noise, known, mask, gain), dict)]
        _check_scale(self.solver.operator, levels[0].problem.observation.measurement)
        if self.solver.rule.needs_gradients:
            _check_differentiable(self.solver.rule, levels[0].problem)
        while (smaller := self._coarser(levels[0])) is not None:
            levels.insert(0, smaller)
        rule, schedule = ability(self.solver.rule, CoarseToFine), self.solver.schedule or self.solver.rule.schedule()
        refining = ability(self.solver.rule, Refining)
        refined = self.solver.rule if refining is None else refining.refined()
        starts = [rule.restart(doubling) if rule is not None and doubling else None for doubling in range(len(levels))]
        for doubling, own in enumerate(cascade(schedule, starts)):
            level = levels[doubling]
            solver = replace(level.solver, rule=self.solver.rule if starts[doubling] is None else refined, schedule=own)
            draws = max(1, self.draws >> doubling) if doubling + 1 < len(levels) else 1
            levels[doubling] = replace(level, solver=solver, problem=level.problem.repeated(draws), draws=draws)
        return tuple(levels) if len(levels) > 1 else (self._initialized(levels[0]),)

    def steps(
        self, problem: Sequence[Level], seeds: Sequence[int] | None = None, resume: State | None = None
    ) -> Iterator[State]:
        """Solve, a State a step; arguments as of `Solver.steps`."""
        total, first, state = sum(level.size[2] for level in problem), 0, resume
        if state is not None and state.total != total:
            raise ValueError(f"cannot go on: the state is of a solve in {state.total} steps, the schedule has {total}")
        images: Sequence[int] = range(len(problem[-1].problem.observation)) if seeds is None else seeds
        before: list[int] = []
        rivals = {} if state is None else dict(state.rivals)
        for place, level in enumerate(problem):
            own, steps = state, level.size[2]
            drawn = [draw_seed(seed, number) for seed in images for number in range(level.draws)]
            if state is not None and place and state.index == first:
                own = _enlarged(problem[place - 1], before, level, state)
                if place == 1:
                    rivals = problem[0].problem.physical(state.clean)
                    del rivals[IMAGE]
            elif state is not None:
                own = replace(state, index=state.index - first, total=steps)
            elif level.initial is not None:
                own = level.solver.start(level.problem, Noise(drawn), level.initial)
            if own is None or own.index < steps:
                for found in level.solver.steps(level.problem, drawn, own):
                    residual = found.residual.unflatten(0, (-1, level.draws)).amin(1)
                    state = replace(found, index=first + found.index, total=total, residual=residual, rivals=rivals)
                    yield state
            first, before = first + steps, drawn

    def share(self, problem: Sequence[Level], state: State) -> float:
        """How much of the work is done, 0..1: steps count as the pixels of their pictures."""
        level, first = self._at(problem, state)
        done = sum(each.work for each in problem[:level])
        return (done + problem[level].work * (state.index - first) / problem[level].size[2]) / sum(
            each.work for each in problem
        )

    def estimate(self, problem: Sequence[Level], state: State) -> Unknowns:
        """What is believed of each measurement: its image in the frame, and parameters, physical, (B, C, H, W).

        Of a smaller size while the solve is at one, and there of the first of its draws.
        """
        level = problem[self._at(problem, state)[0]]
        with torch.no_grad():
            found = {name: value[:: level.draws] for name, value in level.problem.physical(state.clean).items()}
        framed = ability(level.problem.operator, Framed)
        if framed is not None:
            found[IMAGE] = found[IMAGE][(..., *framed.frame(tuple(found[IMAGE].shape[1:])))]
        return found

    def _at(self, problem: Sequence[Level], state: State) -> tuple[int, int]:
        """Which level a state is of, and how many steps came before that."""
        first = 0
        for number, level in enumerate(problem[:-1]):
            if state.index <= first + level.size[2]:
                return number, first
            first += level.size[2]
        return len(problem) - 1, first

    def solution(self, problem: Sequence[Level], state: State, trace: Sequence[Tensor]) -> Solution:
        """What the last state amounts to, in physical units."""
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
        """All steps of a problem; arguments as of `problem` and `steps`."""
        problem, trace = self.problem(measurement, noise, known, mask, gain), []
        for state in self.steps(problem, seeds):
            trace.append(state.residual)
        return self.solution(problem, state, trace)

    def _initialized(self, level: Level) -> Level:
        """The same, begun at what its operator finds beforehand, where rule and operator allow it."""
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
        # What many exposures tell of an image is told with less noise than one tells it, and ends at a lower level.
        shape = framed_shape(problem.operator, problem.normalizations[IMAGE].physical_shape)
        exposures = max(1.0, like[0].numel() / math.prod(shape))
        schedule = Tail(self.solver.schedule or self.solver.rule.schedule(), start, finer=math.sqrt(exposures))
        return replace(level, solver=replace(self.solver, schedule=schedule), initial=clean)

    def _coarser(self, level: Level) -> Level | None:
        """The same with an image of half the sides; None where rule, operator or priors have no use for that."""
        rule, operator = ability(self.solver.rule, CoarseToFine), ability(level.problem.operator, Coarsenable)
        if rule is None or operator is None or rule.restart(1) is None or level.problem.known:
            return None
        shape, observation = level.problem.normalizations[IMAGE].physical_shape, level.problem.observation
        if (coarser := operator.coarser(shape)) is None:
            return None
        solver = replace(self.solver, operator=coarser.operator)
        smaller = replace(observation, measurement=halved(observation.measurement))
        if (mask := observation.mask) is not None:
            # The mean over what was measured; it counts where that is half of the pixels.
            share = halved((mask > 0).to(mask))
            mean, weight = smaller.measurement / share.clamp(min=1e-6), halved(mask) / share.clamp(min=1e-6)
            smaller = replace(smaller, measurement=mean, mask=weight * (share >= 0.5))
        try:
            problem = Problem.posed(coarser.operator, self.solver.priors, smaller)
        except ValueError:
            # A prior that takes no such images, or parameters.
            return None

        def enlarged(found: Unknowns) -> Unknowns:
            image, parameters = canonical(problem, found)
            return {IMAGE: doubled(image, (shape[-2], shape[-1])), **coarser.enlarged(parameters)}

        return Level(solver, problem, enlarged)


def _check_scale(operator: ParametricOperator, measurement: Tensor) -> None:
    if ability(operator, PhysicalUnits) is None and (measurement.abs().flatten(1).mean(1) > _FAR).any():
        raise IptError(
            f"the measurement runs from {float(measurement.min()):.4g} to {float(measurement.max()):.4g}; scale it to "
            f"0..1, or let the operator say what it measures (ipt.PhysicalUnits)"
        )


def _check_differentiable(rule: GuidanceRule, problem: Problem) -> None:
    named = type(rule).__name__
    for name, prior in problem.priors.items():
        if name != IMAGE and problem.specs[name].discrete:
            raise IptError(
                f"{name!r} goes in steps, and {named} differentiates in every unknown; choose guidance=proximal, or "
                f"give its value (known={name}=FILE.npy)"
            )
        inner: object = prior
        while inner is not None:
            if not getattr(inner, "differentiable", True):
                raise IptError(
                    f"the prior of {name!r}, {type(inner).__name__}, is not differentiable, and {named} differentiates "
                    f"through priors; choose guidance=proximal, or another prior"
                )
            # Priors that are made of another have it as `prior`.
            inner = getattr(inner, "prior", None)


def draw_seed(seed: int, number: int) -> int:
    """The seed of a competing draw of an image; the first has the image's own."""
    return seed if number == 0 else image_seed(seed, f"draw {number}")


def denoising_residual(problem: Problem, clean: Tensor, noise: Noise) -> Tensor:
    """How far the prior's denoiser moves images: little where they are likely.

    Noise of `LIKELIHOOD_LEVEL` is added before, since denoisers know images by it.

    Args:
        problem: Its image prior is asked.
        clean: The images, normalized, (B, C, H, W).
        noise: The random streams, one an image.

    Returns:
        Root mean square of each image, (B,), normalized.
    """
    noisy = clean + LIKELIHOOD_LEVEL * noise.like("denoising residual", clean)
    with torch.no_grad():
        return rms(problem.priors[IMAGE].denoise(noisy, LIKELIHOOD_LEVEL) - clean)


def _enlarged(smaller: Level, seeds: Sequence[int], level: Level, state: State) -> State:
    """The first state at a size: noise about what the most likely draws found at the smaller one."""
    streams, chosen = Noise(seeds), torch.arange(len(seeds))
    streams.restore(dict(state.noise))
    if level.draws < smaller.draws:
        misfit = (
            denoising_residual(smaller.problem, state.clean[IMAGE], streams).cpu().unflatten(0, (-1, smaller.draws))
        )
        best = misfit.argsort(1)[:, : level.draws].sort(1).values
        chosen = (best + smaller.draws * torch.arange(len(best))[:, None]).flatten()
    noise = Noise(range(len(chosen)))
    noise.restore({name: [each[index] for index in chosen] for name, each in streams.state().items()})
    with torch.no_grad():
        physical = smaller.enlarged(smaller.problem.physical(state.clean))
    normalizations = level.problem.normalizations.items()
    kept = {name: value[chosen.to(value.device)] for name, value in physical.items()}
    clean = {name: normalization.normalized(kept[name]) for name, normalization in normalizations}
    return replace(level.solver.start(level.problem, noise, clean), calls=state.calls)
