"""One picture from start to end: `ImageTask` -> `prepare` -> `solve_tasks` -> `image_result` -> `ImageResult`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from torch import Tensor

from ipt.core.operator import IMAGE
from ipt.images.light import encoded
from ipt.images.outcomes import Progress
from ipt.sampling.multiscale import Multiscale
from ipt.solve.batches import solve_tasks
from ipt.solve.cost import Cost, cost_of
from ipt.solve.prepare import ImageTask, prepare
from ipt.solve.result import ImageResult, image_result
from ipt.solve.sizer import BatchSizer


def solve_picture(
    solver: Multiscale,
    task: ImageTask,
    device: str = "cpu",
    batch: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    cost: Callable[[Cost], None] | None = None,
) -> ImageResult:
    """Recover the picture behind a measured one, and the unknown parameters.

    Args:
        solver: as `ipt.build` makes it.
        task: the picture and how it is solved.
        device: a torch device, the solver's.
        batch: number of samples that are solved together, which does not change the result; None: as suits the device.
        progress: called after every step.
        cost: called before the first step with an estimate of time and memory, if one can be made.

    Raises:
        IptError: the picture does not fit the prior, a kernel is larger than the picture, or the solve diverges.
    """
    started = time.perf_counter()
    prepared = prepare(solver.solver, task, device)
    if cost is not None and (about := cost_of([prepared.sampling])) is not None:
        cost(about)
    listener = _encoding(progress) if progress is not None and prepared.linear else progress
    (solution,) = solve_tasks([prepared.sampling], BatchSizer(batch, device), listener)
    return image_result(prepared, solution, time.perf_counter() - started)


def _encoding(progress: Callable[[Progress], None]) -> Callable[[Progress], None]:
    """A listener to a solve of linear light that passes on its estimates as sRGB values."""

    def listener(step: Progress) -> None:
        light = step.estimate
        if light is None:
            progress(step)
            return

        def values() -> Mapping[str, Tensor]:
            found = light()
            return {**found, IMAGE: encoded(found[IMAGE])}

        progress(replace(step, estimate=values))

    return listener
