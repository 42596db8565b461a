"""One picture, solved: prepared, drawn and made into a result. For use from Python."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from torch import Tensor

from ipt.core.operator import IMAGE
from ipt.images.light import encoded
from ipt.images.outcomes import Progress
from ipt.sampling.multiscale import Multiscale
from ipt.solve.batches import BatchSizer, solve_tasks
from ipt.solve.cost import Cost, cost_of
from ipt.solve.prepare import ImageTask, prepare
from ipt.solve.result import ImageResult, image_result


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
        task: the picture.
        device: a torch device, the solver's.
        batch: samples that are solved together, on which the result does not depend; None: as the device has use for.
        progress: called after every step.
        cost: called before the first, with about what the solve takes, where a small part of it can tell.

    Raises:
        IptError: what cannot be solved (the picture does not fit the prior, a kernel larger than the picture, a solve
            that diverges).
    """
    started = time.perf_counter()
    prepared = prepare(solver.solver, task, device)
    if cost is not None and (about := cost_of([prepared.sampling])) is not None:
        cost(about)
    heard = _in_values(progress) if progress is not None and prepared.linear else progress
    (solution,) = solve_tasks([prepared.sampling], BatchSizer(batch, device), heard)
    return image_result(prepared, solution, time.perf_counter() - started)


def _in_values(progress: Callable[[Progress], None]) -> Callable[[Progress], None]:
    """Of a solve in light, what is believed by then, as the values of a picture."""

    def heard(one: Progress) -> None:
        estimate = one.estimate

        if estimate is None:
            progress(one)
            return

        def values() -> Mapping[str, Tensor]:
            found = estimate()
            return {**found, IMAGE: encoded(found[IMAGE])}

        progress(replace(one, estimate=values))

    return heard
