"""Cases given to a solver: what comes back, and what it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ipt.bench.baselines import baseline
from ipt.bench.cases import CHANNELS, Case
from ipt.bench.peak import Peak
from ipt.bench.protocol import Plan, Protocol
from ipt.core.errors import IptError, Misuse
from ipt.core.interfaces import IMAGE, ParametricOperator
from ipt.core.problem import rms
from ipt.core.solver import Solution, Solver
from ipt.images.fit import fit
from ipt.images.outcomes import Progress
from ipt.plugins.building import build
from ipt.solve.assessment import margins
from ipt.solve.memory import Room
from ipt.solve.solving import sample_seeds
from ipt.solve.tasks import Task, solve_tasks

_DIVERGED = 100.0


@dataclass(frozen=True)
class Attempt:
    """samples: of every unknown that was solved for, (K, C, H, W). image (C, H, W) and parameters: their means.

    residual: root mean square over the noise level, where it does not depend on what lies outside the frame; None for
    baselines, which have no model. calls: of the networks, all together. seconds, memory (bytes, None unknown): of the
    work; what is solved in one batch shares its seconds equally.
    """

    image: Tensor
    parameters: Mapping[str, Tensor]
    samples: Mapping[str, Tensor] = field(default_factory=dict)
    residual: float | None = None
    calls: int = 0
    seconds: float = 0.0
    memory: int | None = None


@dataclass(frozen=True)
class Bench:
    """A protocol, and what all its solvers share in a run. samples: draws a case. batch: draws solved at a time, None:
    as the device has use for. tiled: a prior that does not take the protocol's size works in overlapping tiles."""

    protocol: Protocol
    seed: int = 0
    samples: int = 1
    batch: int | None = None
    device: str = "cpu"
    precision: str = "fp32"
    tiled: bool = False

    def room(self) -> Room:
        return Room(self.batch, self.device)

    def together(self) -> int:
        """How many cases make a batch."""
        side = self.protocol.size
        return max(1, self.room().draws((CHANNELS, side, side)) // self.samples)

    def solver(self, plan: Plan) -> Solver:
        """The solver of a plan, tried on the protocol's size; IptError naming it where that cannot be."""
        side = self.protocol.size
        priors = self.protocol.priors_of(plan)
        operator = self.protocol.told(plan)
        try:
            solver = build(
                operator=operator.name,
                prior=priors.pop(IMAGE, "faces"),
                guidance=plan.guidance,
                parameters=priors,
                known=plan.known,
                settings={**{f"operator.{key}": value for key, value in operator.options.items()}, **plan.settings},
                steps=plan.steps,
                device=self.device,
                precision=self.precision,
            )
            shape = (CHANNELS, side, side)
            if self.tiled:
                image = fit(torch.zeros(shape), solver.priors[IMAGE], "tile").prior
                solver = replace(solver, priors={**solver.priors, IMAGE: image})
            specs = solver.operator.parameters(shape)
            for name, prior in solver.priors.items():
                prior.chart(shape if name == IMAGE else specs[name].shape)
        except ValueError as error:
            kind = Misuse if isinstance(error, Misuse) else IptError
            raise kind(f"solver {plan.name} cannot be used at {side} x {side} px: {error}") from error
        return solver

    def attempt_baseline(self, plan: Plan, case: Case, operator: ParametricOperator) -> Attempt:
        """A baseline's result. operator: that made the measurement."""
        peak, began = Peak("cpu"), time.perf_counter()
        image, parameters = baseline(plan.baseline, case, operator)
        return Attempt(image, parameters, seconds=time.perf_counter() - began, memory=peak.bytes())

    def attempt(
        self, solver: Solver, plan: Plan, cases: Sequence[Case], watch: Callable[[Progress], None]
    ) -> list[Attempt]:
        """Every case solved `samples` times, an Attempt a case.

        A draw depends on the run's seed, the case and the sample alone, not on the batch. IptError: a solve that
        diverges.
        """
        tasks = [self._task(solver, plan, case) for case in cases]
        peak, began = Peak(self.device), time.perf_counter()
        solutions = solve_tasks(tasks, self.room(), watch)
        seconds, memory = (time.perf_counter() - began) / len(cases), peak.bytes()
        return [
            self._attempt(solver.operator, case, plan.known, solution, seconds, memory)
            for case, solution in zip(cases, solutions, strict=True)
        ]

    def _task(self, solver: Solver, plan: Plan, case: Case) -> Task:
        return Task(
            solver=solver,
            measurement=case.measurement[None].to(self.device),
            noise=self.protocol.noise,
            known={name: case.parameters[name][None].to(self.device) for name in plan.known},
            seeds=sample_seeds(self.seed, f"{case.stem} {case.picture}", self.samples),
        )

    def _attempt(
        self,
        operator: ParametricOperator,
        case: Case,
        known: Sequence[str],
        solution: Solution,
        seconds: float,
        memory: int | None,
    ) -> Attempt:
        drawn = {IMAGE: solution.image.cpu(), **{name: v.cpu() for name, v in solution.parameters.items()}}
        # What is not finite compares as false, too.
        if not all(bool((value.abs() < _DIVERGED).all()) for value in drawn.values()):
            raise IptError("the solve diverged; try a smaller guidance.scale, or another seed")
        means = {name: value.mean(0, keepdim=True) for name, value in drawn.items()}
        image = means.pop(IMAGE)
        parameters = operator.constrain(means)
        with torch.no_grad():
            residual = case.measurement - operator.forward(image, **parameters)[0]
        local = {name: v[0] for name, v in parameters.items() if v.shape[-2:] != residual.shape[-2:]}
        down, right = margins(local, residual)
        inside = residual[None, :, down : residual.shape[1] - down, right : residual.shape[2] - right]
        return Attempt(
            image=image[0],
            parameters={name: value[0] for name, value in parameters.items() if name not in known},
            samples={name: value for name, value in drawn.items() if name not in known},
            residual=float(rms(inside)[0]) / self.protocol.noise,
            calls=sum(solution.calls.values()),
            seconds=seconds,
            memory=memory,
        )
