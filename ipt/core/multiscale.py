"""Coarse to fine: a solve that begins with the image at half its size, or a quarter, and goes on from there.

A wide blur is a narrow one in a small picture. What was found there is where the search in the larger one begins (the
usual remedy of blind deblurring, as in Fergus et al., "Removing Camera Shake from a Single Photograph", SIGGRAPH 2006).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.core.abilities import Canonicalizable, Coarsenable, CoarseToFine, ability
from ipt.core.guidance import GuidanceRule
from ipt.core.observation import Observation
from ipt.core.operator import IMAGE, ParametricOperator, Unknowns
from ipt.core.prior import Prior
from ipt.core.problem import Problem
from ipt.core.random import Noise
from ipt.core.sampling import Tail
from ipt.core.solver import Driver, Solution, Solver, State


@dataclass(frozen=True)
class Level:
    """A problem at one size.

    Attributes:
        solver: its solver.
        problem: the problem.
        enlarged: from its physical unknowns to those of the next level, before `constrain`; None at the last.
    """

    solver: Solver
    problem: Problem
    enlarged: Callable[[Unknowns], Unknowns] | None = None


@dataclass(frozen=True)
class Pyramid:
    """A problem at every size at which it is solved, from the smallest to its own."""

    levels: tuple[Level, ...]

    @property
    def finest(self) -> Problem:
        return self.levels[-1].problem

    @property
    def observation(self) -> Observation:
        """What was measured, at full size."""
        return self.finest.observation


@dataclass(frozen=True)
class Multiscale(Driver[Pyramid]):
    """`solver` from coarse to fine, where rule, operator and priors allow it and no parameter is known; else as it is.

    Its states count the steps of all sizes together.
    """

    solver: Solver

    @property
    def operator(self) -> ParametricOperator:
        return self.solver.operator

    @property
    def priors(self) -> Mapping[str, Prior]:
        return self.solver.priors

    @property
    def rule(self) -> GuidanceRule:
        return self.solver.rule

    def problem(
        self,
        measurement: Tensor,
        noise: float | Tensor = 0.01,
        known: Mapping[str, Tensor] | None = None,
        mask: Tensor | None = None,
    ) -> Pyramid:
        levels = [Level(self.solver, self.solver.problem(measurement, noise, known, mask))]
        while (smaller := self._coarser(levels[0])) is not None:
            levels.insert(0, smaller)
        return Pyramid(tuple(self._restarted(level, doubling) for doubling, level in enumerate(levels)))

    def steps(
        self, problem: Pyramid, seeds: Sequence[int] | None = None, resume: State | None = None
    ) -> Iterator[State]:
        batch = len(problem.observation)
        counts = [len(level.solver.sigmas()) - 1 for level in problem.levels]
        total, first = sum(counts), 0
        if resume is not None and resume.total != total:
            raise ValueError(f"cannot go on: the state is of a solve in {resume.total} steps, the schedule has {total}")
        noise = Noise(range(batch) if seeds is None else seeds)
        state = resume
        for smaller, level, count in zip([None, *problem.levels], problem.levels, counts, strict=False):
            if state is None or state.index == first:
                calls = dict.fromkeys(problem.finest.normalizations, 0) if state is None else state.calls
                begun = self._begun(level, smaller, state, noise)
                state = replace(begun, index=first, total=total, calls=calls)
            if state.index < first + count:
                local = replace(state, index=state.index - first, total=count)
                for found in level.solver.steps(level.problem, seeds, local):
                    state = replace(found, index=first + found.index, total=total)
                    yield state
            first += count

    def solution(self, problem: Pyramid, state: State, trace: Sequence[Tensor]) -> Solution:
        finest = problem.levels[-1]
        found = finest.solver.solution(finest.problem, state, trace)
        return replace(found, sizes=[_size(level) for level in problem.levels])

    def _begun(self, level: Level, smaller: Level | None, state: State | None, noise: Noise) -> State:
        """Before the first step at a size: noise about what was found at the smaller one."""
        if smaller is None or smaller.enlarged is None or state is None:
            return level.solver.start(level.problem, noise)
        noise.restore(dict(state.noise))
        with torch.no_grad():
            physical = smaller.enlarged(smaller.problem.physical(state.clean))
        normalizations = level.problem.normalizations
        clean = {name: chart.normalized(physical[name]) for name, chart in normalizations.items()}
        return level.solver.start(level.problem, noise, clean)

    def _restarted(self, level: Level, doubling: int) -> Level:
        """With the noise levels from the rule's restart on."""
        rule = ability(self.solver.rule, CoarseToFine)
        start = rule.restart(doubling) if rule is not None and doubling else None
        if start is None:
            return level
        schedule = Tail(self.solver.schedule or self.solver.rule.schedule(), start)
        return replace(level, solver=replace(level.solver, schedule=schedule))

    def _coarser(self, level: Level) -> Level | None:
        """The same with an image of half the sides; None where rule, operator or priors have no use for that."""
        rule, operator = ability(self.solver.rule, CoarseToFine), ability(level.problem.operator, Coarsenable)
        if rule is None or operator is None or rule.restart(1) is None or level.problem.known:
            return None
        shape = level.problem.normalizations[IMAGE].physical_shape
        coarser = operator.coarser(shape)
        if coarser is None:
            return None
        solver = replace(self.solver, operator=coarser.operator)
        try:
            problem = solver.problem(*_halved(level.problem.observation))
        except ValueError:
            # A prior that takes no such images, or parameters.
            return None

        def enlarged(found: Unknowns) -> Unknowns:
            image, parameters = _canonical(coarser.operator, found)
            return {IMAGE: doubled(image, (shape[-2], shape[-1])), **coarser.enlarged(parameters)}

        return Level(solver, problem, enlarged)


def _size(level: Level) -> tuple[int, int, int]:
    height, width = level.problem.normalizations[IMAGE].physical_shape[-2:]
    return height, width, len(level.solver.sigmas()) - 1


def _canonical(operator: ParametricOperator, found: Unknowns) -> tuple[Tensor, Unknowns]:
    parameters = dict(found)
    image = parameters.pop(IMAGE)
    able = ability(operator, Canonicalizable)
    return (image, parameters) if able is None else able.canonicalize(image, parameters)


def _halved(observation: Observation) -> tuple[Tensor, Tensor, None, Tensor | None]:
    """Measurement, noise, nothing known, and mask of half the sides; a pixel counts as measured where half of those
    behind it were, and is the mean of these."""
    if observation.mask is None:
        return halved(observation.measurement), observation.noise, None, None
    share = halved(observation.mask)
    return halved(observation.measurement) / share.clamp(min=1e-6), observation.noise, None, (share >= 0.5).to(share)


def halved(images: Tensor) -> Tensor:
    """Images (B, C, H, W) of half the sides, rounded up: means over 2x2 pixels; at an odd end, over what is there."""
    return F.avg_pool2d(images, 2, ceil_mode=True, count_include_pad=False)


def doubled(images: Tensor, sides: tuple[int, int]) -> Tensor:
    """Images of twice the sides, cut to (height, width), each pixel where `halved` had it; bicubic, within 0..1."""
    large = F.interpolate(images, scale_factor=2, mode="bicubic", align_corners=False)
    return large[..., : sides[0], : sides[1]].clamp(0, 1)
