"""Cases given to a solver: what comes back, and what it took."""

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
from ipt.solve.batches import BatchSizer, solve_tasks
from ipt.solve.choice import chosen
from ipt.solve.prepare import ImageTask, prepare, sample_seeds
from ipt.solve.task import SamplingTask
from ipt.solve.verdict import interior_rms

_DIVERGED = 100.0
"""No picture in 0..1 and no parameter comes near it."""
_RESET, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


@dataclass(frozen=True)
class BenchOptions:
    """What all solvers of a run share.

    Attributes:
        seed: Of the solvers; the data have the protocol's.
        samples: Draws a case.
        batch: Draws solved at a time; None: as the device has use for.
        device: As torch calls it.
        precision: Of the networks.
        tiled: A prior that does not take the protocol's size works in overlapping tiles.
    """

    seed: int = 0
    samples: int = 1
    batch: int | None = None
    device: str = "cpu"
    precision: str = "auto"
    tiled: bool = False


@dataclass(frozen=True)
class Attempt:
    """What a solver made of a case.

    Attributes:
        image: (C, H, W), the mean of the samples, or of those that are likely right.
        parameters: The same of every parameter that was solved for, by name.
        samples: Of every unknown that was solved for, (K, C, H, W).
        residual: Root mean square over the noise level, where it does not depend on what lies outside the frame; None
            for baselines, which have no model.
        calls: Of the networks, all together.
        seconds: Of the work; what is solved in one batch shares its seconds equally.
        memory: Peak of the work in bytes; None where it is unknown.
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
    """A protocol and the options of a run: makes its solvers, and gives them cases."""

    protocol: Protocol
    options: BenchOptions = BenchOptions()

    @property
    def cases_together(self) -> int:
        """How many cases make a batch; of a recipe, whose kernels are of several sizes, one."""
        if self.protocol.recipe:
            return 1
        side = self.protocol.size
        return max(1, self._sizer().size((CHANNELS, side, side)) // self.options.samples)

    def solver(self, spec: SolverSpec) -> Solver:
        """A solver, tried on the protocol's size.

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
        """A baseline's result. operator: that made the measurement."""
        peak, began = PeakMemory("cpu"), time.perf_counter()
        image, parameters = baseline(spec.baseline, case, operator)
        return Attempt(image, parameters, seconds=time.perf_counter() - began, memory=peak.bytes())

    def attempt(
        self, solver: Solver, spec: SolverSpec, cases: Sequence[Case], on_step: Callable[[Progress], None]
    ) -> list[Attempt]:
        """Every case solved `samples` times, an Attempt a case.

        A draw depends on the run's seed, the case and the sample alone, not on the batch.

        Raises:
            IptError: A solve that diverges.
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
            # As `ipt solve` does: the noise level is estimated, and clipped highlights leave the mask.
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
        # What is not finite compares as false, too.
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
        # Cases have one kernel: of several in their places the mean.
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
    """Peak memory since it was made.

    Of a GPU, what torch allocated; else the process's resident memory, with Python and all weights in it (Linux).
    """

    def __init__(self, device: str):
        self._gpu = device if device.startswith("cuda") else ""
        self._known = True
        if self._gpu:
            torch.cuda.reset_peak_memory_stats(self._gpu)
            return
        try:
            # 5 sets the high-water mark back to what is resident now (proc(5)).
            _RESET.write_text("5")
        except OSError:
            self._known = False

    def bytes(self) -> int | None:
        """In bytes; None where the system does not say."""
        if self._gpu:
            return int(torch.cuda.max_memory_allocated(self._gpu))
        if not self._known:
            return None
        lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) * 1024 if "VmHWM" in lines else None
