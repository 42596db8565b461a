"""The levels of a solve from coarse to fine: the problem at each image size, and how one level leads to the next.

    full size --`coarser`--> half size --`coarser`--> ... then, for all of them, `scheduled`
    state of a level --`enlarged_state`--> first state of the next larger one

References:
    Romano, Elad, Milanfar, "The Little Engine that Could: Regularization by Denoising", SIAM Journal on Imaging
    Sciences 10, 2017 (the likelihood of an image by what a denoiser removes from it).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ipt.core.abilities import Coarsenable, CoarseToFine, ability, framed_shape
from ipt.core.observation import Observation
from ipt.core.operator import IMAGE, Unknowns
from ipt.core.problem import Problem
from ipt.core.solver import Solver, State, canonical
from ipt.linalg.norms import rms
from ipt.linalg.random import Noise
from ipt.linalg.resampling import doubled, halved
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
        return shape[-2], shape[-1], self.steps

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.solver.sigmas()) - 1

    @property
    def work(self) -> int:
        """Number of pixels over all steps and draws."""
        return math.prod(self.size) * self.draws


def coarser(level: Level) -> Level | None:
    """The level with an image of half the sides; None where rule, operator or priors do not support it."""
    rule, operator = ability(level.solver.rule, CoarseToFine), ability(level.problem.operator, Coarsenable)
    if rule is None or operator is None or rule.restart(1) is None or level.problem.known:
        return None
    shape = level.problem.normalizations[IMAGE].physical_shape
    if (half := operator.coarser(shape)) is None:
        return None
    try:
        problem = Problem.posed(half.operator, level.solver.priors, halved_observation(level.problem.observation))
    except ValueError:
        # A prior does not take images or parameters of this size.
        return None

    def enlarged(unknowns: Unknowns) -> Unknowns:
        image, parameters = canonical(problem, unknowns)
        return {IMAGE: doubled(image, (shape[-2], shape[-1])), **half.enlarged(parameters)}

    return Level(replace(level.solver, operator=half.operator), problem, enlarged)


def halved_observation(observation: Observation) -> Observation:
    """An observation at half the sides: means of measured pixels; masked where less than half of them are measured."""
    smaller = replace(observation, measurement=halved(observation.measurement))
    if (mask := observation.mask) is None:
        return smaller
    share = halved((mask > 0).to(mask))
    mean, weight = smaller.measurement / share.clamp(min=1e-6), halved(mask) / share.clamp(min=1e-6)
    return replace(smaller, measurement=mean, mask=weight * (share >= 0.5))


def scheduled(levels: Sequence[Level], draws: int) -> tuple[Level, ...]:
    """Levels with their parts of the schedule, their rules and their draws.

    Args:
        levels: the smallest image first, all with the solver of full size but for the operator.
        draws: number of draws that compete at the smallest size; half as many at the next, ..., one at full size.
    """
    solver = levels[-1].solver
    schedule = solver.schedule or solver.rule.schedule()
    rule, refining = ability(solver.rule, CoarseToFine), ability(solver.rule, Refining)
    starts = [rule.restart(doubling) if rule is not None and doubling else None for doubling in range(len(levels))]
    found = []
    for doubling, (level, part) in enumerate(zip(levels, cascade(schedule, starts), strict=True)):
        own_rule = solver.rule
        if refining is not None and starts[doubling] is not None:
            own_rule = refining.refined()
        elif refining is not None and doubling == 0 and len(levels) > 1:
            own_rule = refining.searching()
        own_draws = max(1, draws >> doubling) if doubling + 1 < len(levels) else 1
        own_solver = replace(level.solver, rule=own_rule, schedule=part)
        found.append(replace(level, solver=own_solver, problem=level.problem.repeated(own_draws), draws=own_draws))
    return tuple(found)


def initialized(level: Level) -> Level:
    """The only level with the operator's initial estimate to begin at, where rule and operator allow it."""
    solver, problem = level.solver, level.problem
    rule, operator = ability(solver.rule, CoarseToFine), ability(problem.operator, Initializable)
    start = None if rule is None else rule.restart(1)
    estimate = None if start is None or operator is None else operator.initial(problem.observation, problem.known)
    if start is None or estimate is None:
        return level
    like, top = problem.observation.measurement, solver.sigmas()[0]
    clean = {
        name: one.normalized(estimate[name])
        if name in estimate
        else problem.priors[name].denoise(like.new_zeros(len(like), *one.shape), top)
        for name, one in problem.normalizations.items()
    }
    # Many exposures determine an image better than one does, so the schedule ends at a lower level.
    shape = framed_shape(problem.operator, problem.normalizations[IMAGE].physical_shape)
    exposures = max(1.0, like[0].numel() / math.prod(shape))
    schedule = Tail(solver.schedule or solver.rule.schedule(), start, finer=math.sqrt(exposures))
    return replace(level, solver=replace(solver, schedule=schedule), initial=clean)


def enlarged_state(smaller: Level, seeds: Sequence[int], level: Level, state: State) -> State:
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
