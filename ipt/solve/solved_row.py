"""A row of draws solved in batches, and those of its draws refined that results are made of.

row of draws --batches--> a solution of each batch --`refined_row`--> a solution of each draw

If a batch does not fit into memory it is tried again with half as many draws.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from contextlib import suppress

from ipt.core.solver import Solution
from ipt.solve.draws import Batch, Draws, SaveState
from ipt.solve.joining import split_draws
from ipt.solve.progress import Listener
from ipt.solve.refinement import refined, report_end
from ipt.solve.sizer import BatchSizer, out_of_memory


def solve_row(
    draws: Draws,
    sizer: BatchSizer,
    progress: Listener | None = None,
    save: SaveState | None = None,
    begun: Sequence[Batch] = (),
) -> tuple[list[Batch], list[Solution]]:
    """Solve a row of draws: all of its batches, and a solution of each; arguments as of `solve_tasks`."""
    complete: list[Batch] = []
    solutions: list[Solution] = []
    resumed = list(begun)
    while len(draws) > (start := complete[-1].stop if complete else 0):
        first = resumed.pop(0) if resumed else None
        stop = min(start + sizer.size(draws.shape), len(draws)) if first is None else first.stop
        try:
            batch, solution = draws.solve(start, stop, first, complete, progress, save)
            if progress is not None and not (first is not None and first.state.finished):
                progress(draws.batch_progress(batch, solution, complete))
            complete.append(batch)
            solutions.append(solution)
            if draws.tasks[0].begun:
                _trim_memory()
            if batch.stop == len(draws):
                draws.extend(solutions)
            continue
        except (MemoryError, RuntimeError) as error:
            if stop - start == 1 or not out_of_memory(error):
                raise
        # Only here, where the error and with it the tensors of the attempt are gone.
        sizer.halve(draws.shape, stop - start)
    return complete, solutions


def refined_row(
    draws: Draws,
    batches: Sequence[Batch],
    solutions: Sequence[Solution],
    sizer: BatchSizer,
    progress: Listener | None,
) -> Sequence[Solution]:
    """The draws of all batches, refined with local parameters if memory suffices."""
    try:
        return refined(draws, batches, solutions, progress)
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
    sizer.tell("out of memory for a kernel in each part of a picture; it keeps one for all of it")
    drawn = [draw for solution in solutions for draw in split_draws(solution)]
    report_end(draws, batches, drawn, len(drawn) - 1, progress)
    return drawn


def _trim_memory() -> None:
    """Return freed memory to the system, if the C library is glibc.

    What is kept of a tile lies between what its solve has freed, and glibc holds on to the gaps. For a picture in many
    tiles that is much more than is in use.
    """
    with suppress(AttributeError, OSError, TypeError):
        # Other C libraries have no such function.
        ctypes.CDLL(None).malloc_trim(0)
