"""Posterior draws of several measurements of one shape, side by side. Here are no files, pictures or options."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ipt.core.errors import IptError
from ipt.core.operator import IMAGE, Unknowns
from ipt.core.solver import Solution, State
from ipt.images.outcomes import Progress
from ipt.plugins.faults import place
from ipt.sampling import regional
from ipt.sampling.multiscale import Level, Multiscale
from ipt.solve.joining import apart, joined
from ipt.solve.local import local_steps
from ipt.solve.parts import in_whole
from ipt.solve.task import SamplingTask
from ipt.solve.verdict import LIKELY, SURE, residual_rms

BEFORE_LOCAL = 0.7
"""Share of the work of a draw that comes before it is refined with local parameters (measured)."""


@dataclass(frozen=True)
class Batch:
    """Draws start to stop of the row, and how far they are. trace: the residual after each step, (stop - start,)."""

    start: int
    stop: int
    state: State
    trace: tuple[Tensor, ...]


SaveState = Callable[[Sequence[Batch], bool], None]
"""Called after every step with the batches so far, all but the last complete, and whether that was the last step."""


@dataclass(frozen=True)
class Found:
    """What was found in a region.

    Attributes:
        solution: of all its draws.
        draw: the best of them.
        normalized: its parameters, as their priors have them, (1, C, h, w).
    """

    solution: Solution
    draw: int
    normalized: Unknowns

    @property
    def parameters(self) -> Unknowns:
        """Physical, (draws, C, h, w)."""
        return self.solution.parameters

    def continued(self, whole: Solution) -> Solution:
        """The solution of all of the picture that went on from here, as one of both: with the region's assessment."""
        own, draws = slice(self.draw, self.draw + 1), len(whole.image)
        calls = {name: count + self.solution.calls[name] for name, count in whole.calls.items()}
        return replace(
            whole,
            trace=torch.cat([self.solution.trace[:, own].expand(-1, draws), whole.trace]),
            sizes=[*self.solution.sizes, *whole.sizes],
            calls=calls,
            assessments=[*self.solution.assessments[own]] * draws,
        )


class Draws:
    """The draws of several tasks, side by side.

    Args:
        tasks: of one kind.
        found: for each task what was found in a region, to go on from.
        local: whether draws may be refined with local parameters afterwards.
    """

    def __init__(self, tasks: Sequence[SamplingTask], found: Sequence[Found] = (), local: bool = False):
        self.tasks, self.found = tasks, found
        self.local_steps = local_steps(tasks[0]) if local else 0
        self.most_local_steps = self.local_steps * sum(len(task.seeds) for task in tasks)
        self.all = [(task, seed) for task in tasks for seed in task.seeds]
        self.solver, self.shape = Multiscale(tasks[0].solver), tasks[0].shape

    @property
    def work(self) -> int:
        """Pixels of all steps."""
        return len(self) * sum(level.work for level in self._problem(0, 1))

    @property
    def largest(self) -> int:
        """Pixels of a draw's competing images, at the size where these are most."""
        return max(math.prod(level.size[:2]) * level.draws for level in self._problem(0, 1))

    def __len__(self) -> int:
        return len(self.all)

    def extend(self, solutions: Sequence[Solution]) -> None:
        """One draw more of tasks that have some in reserve, and one so far that is not sure, or none likely right."""
        draws = self.by_task(solutions) if any(task.reserve for task in self.tasks) else []
        for task, found in zip(self.tasks, draws, strict=False):
            left = task.reserve[len(found.image) - len(task.seeds) :]
            enough = SURE if len(found.image) == 1 else LIKELY
            if left and found.assessments and all(one.probability < enough for one in found.assessments):
                self.all.append((task, left[0]))

    def solve(
        self,
        start: int,
        stop: int,
        batch: Batch | None,
        before: Sequence[Batch],
        progress: Callable[[Progress], None] | None,
        save: SaveState | None,
    ) -> tuple[Batch, Solution]:
        """The draws start to stop, from where `batch` is; before: the batches that are complete."""
        seeds = [seed for _, seed in self.all[start:stop]]
        # As many batches as there would be if all to come were of this one's size.
        count = len(before) + math.ceil((len(self) - start) / (stop - start))
        try:
            problem = self._problem(start, stop)
            if batch is None or not batch.state.finished:
                resume = self._beginning(problem, start, stop) if batch is None else batch.state
                for state in self.solver.steps(problem, seeds, resume):
                    batch = Batch(start, stop, state, (*(batch.trace if batch else ()), state.residual))
                    if save is not None:
                        save([*before, batch], stop == len(self) and state.finished)
                    if progress is not None and not state.finished:
                        progress(self._progress(problem, batch, state.residual.cpu(), len(before), count))
        except ValueError as error:
            raise error if isinstance(error, IptError) else IptError(f"{error}{place(error)}") from error
        if batch is None:
            raise IptError("the schedule has no steps; set steps=")
        return batch, self.solver.solution(problem, batch.state, batch.trace)

    def done(self, batch: Batch, solution: Solution, before: Sequence[Batch]) -> Progress:
        """What is heard of a batch that is complete; its residual is that of a verdict."""
        tasks, count = [task for task, _ in self.all[batch.start : batch.stop]], self._count(batch, before)
        steps = batch.state.total
        share = self._before_local * (len(before) + 1) / count
        total = count * steps + self.most_local_steps
        return self.progress_of(tasks, apart(solution), (len(before) + 1) * steps, total, share)

    @property
    def _before_local(self) -> float:
        """Share of the work that comes before the refinement."""
        return BEFORE_LOCAL if self.local_steps else 1.0

    def progress_of(
        self, tasks: Sequence[SamplingTask], solutions: Sequence[Solution], done: int, total: int, share: float
    ) -> Progress:
        """How far the row is with these draws, a task each, complete."""
        ratios, first = [], solutions[0]
        for task, one in zip(tasks, solutions, strict=True):
            operator, observation = one.operator or task.solver.operator, task.observation
            with torch.no_grad():
                residual = observation.residual(operator.forward(one.whole, **one.parameters))[0]
            parameters = {name: value[0] for name, value in one.parameters.items()}
            trusted = None if task.mask is None else task.mask[0]
            rms = residual_rms(operator, residual, trusted, parameters, one.whole.shape[1:])
            ratios.append(rms / float(observation.noise))
        parts = [task.part for task in tasks]

        def estimate() -> dict[str, Tensor]:
            images = in_whole(parts, torch.cat([one.image for one in solutions]))
            return {**{name: value[0].cpu() for name, value in first.parameters.items()}, IMAGE: images[0].cpu()}

        level = math.sqrt(sum(ratio**2 for ratio in ratios) / len(ratios))
        return Progress(done=done, total=total, residual=level, share=share, estimate=estimate)

    def _count(self, batch: Batch, before: Sequence[Batch]) -> int:
        """As many batches as there would be if all to come were of this one's size."""
        return len(before) + 1 + math.ceil((len(self) - batch.stop) / (batch.stop - batch.start))

    def _progress(
        self, problem: tuple[Level, ...], batch: Batch, residual: Tensor, before: int, count: int
    ) -> Progress:
        """How far a batch is, with these residuals, after `before` of `count` batches."""
        state, parts = batch.state, [task.part for task, _ in self.all[batch.start : batch.stop]]

        def estimate() -> dict[str, Tensor]:
            found = self.solver.estimate(problem, state)
            return {name: value[0].cpu() for name, value in {**found, IMAGE: in_whole(parts, found[IMAGE])}.items()}

        noise = problem[-1].problem.observation.noise.flatten().cpu()
        return Progress(
            done=before * state.total + state.index,
            total=count * state.total + self.most_local_steps,
            residual=float((residual / noise).square().mean().sqrt()),
            share=self._before_local * (before + self.solver.share(problem, state)) / count,
            estimate=estimate,
        )

    def by_task(self, solutions: Sequence[Solution]) -> list[Solution]:
        """The solutions of all batches, divided anew: each task's draws, beside each other, and their calls."""
        drawn = [one for made in solutions for one in apart(made)]
        return [
            joined(task, [one for one, (other, _) in zip(drawn, self.all, strict=False) if other is task])
            for task in self.tasks
        ]

    def _problem(self, start: int, stop: int) -> tuple[Level, ...]:
        tasks = [task for task, _ in self.all[start:stop]]
        measurement, noise, mask, gain = _together(tasks)
        known = {name: torch.cat([task.known[name] for task in tasks]) for name in tasks[0].known}
        if tasks[0].begun:
            parameters = self.found[0].parameters if self.found else {**known, **tasks[0].start}
            return (regional.remainder(self.solver.solver, measurement, noise, mask, parameters, gain, known),)
        return self.solver.problem(measurement, noise, known, mask, gain)

    def _beginning(self, problem: tuple[Level, ...], start: int, stop: int) -> State | None:
        """The first state of draws that begin where the parameters are known already; None: of others."""
        if not self.tasks[0].begun:
            return None
        each = {id(task): one.normalized for task, one in zip(self.tasks, self.found, strict=False)}
        normalized = problem[0].problem.normalizations
        of_each = [
            each.get(id(task), {name: normalized[name].normalized(value) for name, value in task.start.items()})
            for task, _ in self.all[start:stop]
        ]
        together = {name: torch.cat([one[name] for one in of_each]) for name in of_each[0]}
        return regional.first_state(problem[0], [seed for _, seed in self.all[start:stop]], together)

    def best(self, batches: Sequence[Batch], solutions: Sequence[Solution]) -> list[Found]:
        """Of each task the draw that is likeliest right; of all batches, as `by_task`."""
        found = []
        for task, solution in zip(self.tasks, self.by_task(solutions), strict=True):
            chances = [one.probability for one in solution.assessments] or [0.0]
            draw = max(range(len(chances)), key=chances.__getitem__)
            number = [number for number, (other, _) in enumerate(self.all) if other is task][draw]
            batch = next(each for each in batches if each.start <= number < each.stop)
            own = slice(number - batch.start, number - batch.start + 1)
            normalized = {name: value[own] for name, value in batch.state.clean.items() if name != IMAGE}
            found.append(Found(solution, draw, normalized))
        return found


def _together(tasks: Sequence[SamplingTask]) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    """Measurement, noise, mask and gain of all tasks, as of `Solver.problem`."""
    measurement = torch.cat([task.measurement for task in tasks])
    levels = [torch.as_tensor(task.noise).to(measurement) for task in tasks]
    noise = torch.cat([one if one.ndim == 4 else one.reshape(1, 1, 1, 1) for one in levels])
    masks = [task.mask for task in tasks if task.mask is not None]
    gain = torch.tensor([task.gain for task in tasks]).to(measurement)
    return measurement, noise, torch.cat(masks) if masks else None, gain
