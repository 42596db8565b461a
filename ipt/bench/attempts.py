"""Attempts of solvers at cases: the result, and its time, network calls and memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from ipt.bench.baselines import baseline
from ipt.bench.cases import CHANNELS, Case
from ipt.bench.protocol import Protocol, SolverSpec
from ipt.core.errors import IptError, Misuse
from ipt.core.operator import IMAGE, ParametricOperator
from ipt.core.solver import Solution, Solver
from ipt.images.files import Picture
from ipt.images.fit import fit
from ipt.images.outcomes import Progress
from ipt.plugins.building import build
from ipt.solve.batches import solve_tasks
from ipt.solve.choice import chosen
from ipt.solve.prepare import ImageTask, prepare, sample_seeds
from ipt.solve.sizer import BatchSizer
from ipt.solve.task import SamplingTask
from ipt.solve.verdict import interior_rms

_DIVERGED = 100.0
"""Values from which a solve has diverged: no picture in 0..1 and no parameter comes near it."""
_RESET, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


@dataclass(frozen=True)
class BenchOptions:
    """Options of a run that all solvers share.

    Attributes:
        seed: Of the solvers; the data have the seed of the protocol.
        samples: Draws per case.
        batch: Draws that are solved together; None: as suits the device.
        device: A torch device.
        precision: Of the networks.
        tiled: Whether a prior that does not take the protocol's size denoises overlapping tiles.
    """

    seed: int = 0
    samples: int = 1
    batch: int | None = None
    device: str = "cpu"
    precision: str = "auto"
    tiled: bool = False


@dataclass(frozen=True)
class Attempt:
    """The result of a solver for a case.

    Attributes:
        image: (C, H, W), the mean of the samples that are likely right, or the likeliest.
        parameters: Likewise, every parameter that was solved for, (C, H, W), by name.
        samples: Of every unknown that was solved for, (K, C, H, W), by name.
        residual: Root mean square over the noise level, away from the borders; None for baselines, which have no model.
        calls: Number of network calls.
        seconds: Time of the solve; the cases of a batch share its time equally.
        memory: Peak memory in bytes; None if it is not known.
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
    """A protocol with the options of a run: builds its solvers, and runs them on cases."""

    protocol: Protocol
    options: BenchOptions = BenchOptions()

    @property
    def cases_together(self) -> int:
        """Number of cases in a batch; one for a recipe, whose kernels differ in size."""
        if self.protocol.recipe:
            return 1
        side = self.protocol.size
        return max(1, self._sizer().size((CHANNELS, side, side)) // self.options.samples)

    def solver(self, spec: SolverSpec) -> Solver:
        """Build a solver, and check that it takes the protocol's size.

        Raises:
            IptError: It cannot be built or does not take the size; the message names it.
        """
        side = self.protocol.size
        priors = self.protocol.priors_of(spec)
        operator = self.protocol.operator_of(spec)
        try:
            solver = build(
                operator=operator.name,
                prior=priors.pop(IMAGE, "faces"),
                guidance=spec.guidance,
                parameters=priors,
                known=spec.known,
                settings={**{f"operator.{key}": value for key, value in operator.options.items()}, **spec.settings},
                steps=spec.steps,
                device=self.options.device,
                precision=self.options.precision,
            ).solver
            shape = solver.operator.image_shape((CHANNELS, side, side))
            if self.options.tiled:
                image = fit(torch.zeros(shape), solver.priors[IMAGE], "tile").prior
                solver = replace(solver, priors={**solver.priors, IMAGE: image})
            specs = solver.operator.parameters(shape)
            for name, prior in solver.priors.items():
                prior.normalization(shape if name == IMAGE else specs[name].shape)
        except ValueError as error:
            kind = Misuse if isinstance(error, Misuse) else IptError
            raise kind(f"solver {spec.name} cannot be used at {side} x {side} px: {error}") from error
        return solver

    def attempt_baseline(self, spec: SolverSpec, case: Case, operator: ParametricOperator) -> Attempt:
        """Run a baseline on a case; operator: that made the measurement."""
        peak, began = PeakMemory("cpu"), time.perf_counter()
        image, parameters = baseline(spec.baseline, case, operator)
        return Attempt(image, parameters, seconds=time.perf_counter() - began, memory=peak.bytes())

    def attempt(
        self, solver: Solver, spec: SolverSpec, cases: Sequence[Case], on_step: Callable[[Progress], None]
    ) -> list[Attempt]:
        """Solve cases with `samples` draws each.

        A draw depends on the run's seed, the case and its number, not on the batch.

        Args:
            solver: Built by `solver`.
            spec: Of the solver.
            cases: That are solved together.
            on_step: Called after every step.

        Returns:
            An attempt per case.

        Raises:
            IptError: A solve diverged.
        """
        tasks = [self._task(solver, spec, case) for case in cases]
        peak, began = PeakMemory(self.options.device), time.perf_counter()
        solutions = solve_tasks(tasks, self._sizer(), on_step)
        seconds, memory = (time.perf_counter() - began) / len(cases), peak.bytes()
        return [
            replace(self._attempt(task, case, spec.known, solution), seconds=seconds, memory=memory)
            for task, case, solution in zip(tasks, cases, solutions, strict=True)
        ]

    def _task(self, solver: Solver, spec: SolverSpec, case: Case) -> SamplingTask:
        options, noise = self.options, self.protocol.noise
        known = {name: case.parameters[name] for name in spec.known}
        if noise is None:
            # Prepared as by `ipt solve`: the noise is estimated, and clipped highlights are masked.
            task = ImageTask(Picture(case.measurement), case.name, None, options.seed, options.samples, known)
            return prepare(solver, task, options.device).sampling
        return SamplingTask(
            solver=solver,
            measurement=case.measurement[None].to(options.device),
            noise=noise,
            known={name: value[None].to(options.device) for name, value in known.items()},
            seeds=sample_seeds(options.seed, case.name, options.samples),
        )

    def _sizer(self) -> BatchSizer:
        return BatchSizer(self.options.batch, self.options.device)

    def _attempt(self, task: SamplingTask, case: Case, known: Sequence[str], solution: Solution) -> Attempt:
        operator = solution.operator or task.solver.operator
        drawn = {IMAGE: solution.whole.cpu(), **{name: v.cpu() for name, v in solution.parameters.items()}}
        # NaN compares as false, so that it counts as diverged too.
        if not all(bool((value.abs() < _DIVERGED).all()) for value in drawn.values()):
            raise IptError("the solve diverged; try a smaller guidance.scale, or another seed")
        shown = chosen(task, solution)
        image, parameters = shown.whole.cpu(), {name: value.cpu() for name, value in shown.parameters.items()}
        with torch.no_grad():
            residual = case.measurement - operator.forward(image, **parameters)[0]
        found = {name: value[0] for name, value in parameters.items()}
        inside = interior_rms(residual, found, image.shape[1:])
        samples = {**drawn, IMAGE: solution.image.cpu()}
        if len(task.seeds) == 1:
            samples = {name: value[list(shown.draws)] for name, value in samples.items()}
        # Cases have one kernel, with which a grid of kernels is compared by its mean.
        for name, value in found.items():
            if name in case.parameters and len(case.parameters[name]) == 1 < len(value):
                found[name], samples[name] = (each.mean(-3, keepdim=True) for each in (value, samples[name]))
        return Attempt(
            image=solution.image[list(shown.draws)].mean(0).cpu(),
            parameters={name: value for name, value in found.items() if name not in known},
            samples={name: value for name, value in samples.items() if name not in known},
            residual=inside / task.level,
            calls=sum(solution.calls.values()),
        )


class PeakMemory:
    """Peak memory since this object was made.

    On a GPU, what torch allocated; else the resident memory of the process, with Python and all weights (Linux only).
    """

    def __init__(self, device: str):
        self._gpu = device if device.startswith("cuda") else ""
        self._known = True
        if self._gpu:
            torch.cuda.reset_peak_memory_stats(self._gpu)
            return
        try:
            # "5" resets the high-water mark to the present resident memory (proc(5)).
            _RESET.write_text("5")
        except OSError:
            self._known = False

    def bytes(self) -> int | None:
        """The peak in bytes; None if the system does not tell."""
        if self._gpu:
            return int(torch.cuda.max_memory_allocated(self._gpu))
        if not self._known:
            return None
        lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) * 1024 if "VmHWM" in lines else None
