"""Solve tasks of one shape: `SamplingTask`s -> `solve_tasks` -> a `Solution` each.

usual pictures:  row of draws --`solve_row`--> solutions --`refined_row`--> joined by task
large pictures:  `ipt.solve.large`
"""

from __future__ import annotations

from collections.abc import Sequence

from ipt.core.solver import Solution
from ipt.solve import large
from ipt.solve.draws import Batch, Draws, SaveState
from ipt.solve.heap import keep_freed_memory
from ipt.solve.progress import Listener
from ipt.solve.sizer import BatchSizer
from ipt.solve.solved_row import refined_row, solve_row
from ipt.solve.task import SamplingTask


def solve_tasks(
    tasks: Sequence[SamplingTask],
    sizer: BatchSizer,
    progress: Listener | None = None,
    save: SaveState | None = None,
    begun: Sequence[Batch] = (),
) -> list[Solution]:
    """Draw from the posteriors of tasks of one shape: a Solution each, its batch being the task's draws.

    The draws of its seeds come first, in their order, then those that were made of its reserve.

    Args:
        tasks: of one kind.
        sizer: says how many draws make a batch; if memory does not suffice, it halves them.
        progress: called after every step.
        save: called after every step, to write down the state of the solve.
        begun: batches that `save` was given in an earlier process; the result is the same as without an interruption.

    Raises:
        IptError: what the solver refuses.
        MemoryError, RuntimeError: not even one draw fits into memory.
    """
    keep_freed_memory()
    if tasks[0].from_parameters or tasks[0].half:
        return large.solve_large(tasks, sizer, progress, save, begun)
    draws = Draws(tasks, local=True)
    batches, solutions = solve_row(draws, sizer, progress, save, begun)
    return draws.by_task(refined_row(draws, batches, solutions, sizer, progress))
