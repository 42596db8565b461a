"""The draws that results are made of, refined with local parameters where one for all of the picture does not do.

It comes last, when all draws are made and judged beside each other: what is shown is refined, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import Tensor

from ipt.core.abilities import Assessment
from ipt.core.solver import Solution
from ipt.images.outcomes import Progress
from ipt.solve.choice import result_draws
from ipt.solve.draws import BEFORE_LOCAL, Batch, Draws
from ipt.solve.joining import apart
from ipt.solve.local import localized


def refined(
    draws: Draws,
    batches: Sequence[Batch],
    solutions: Sequence[Solution],
    progress: Callable[[Progress], None] | None = None,
) -> list[Solution]:
    """All draws of a row, one a solution, some of them refined.

    Args:
        draws: the row.
        batches: all of it, complete.
        solutions: of each batch.
        progress: called after every step.
    """
    drawn = [one for made in solutions for one in apart(made)]
    if not draws.local_steps:
        return drawn
    chosen = _of_results(draws, drawn)
    before = len(batches) * batches[-1].state.total
    total, last = before + draws.most_local_steps, len(drawn) - 1
    for count, (number, assessment) in enumerate(chosen.items()):

        def heard(step: Progress, count: int = count) -> None:
            assert progress is not None
            share = BEFORE_LOCAL + (1 - BEFORE_LOCAL) * (count + (step.share or 0)) / len(chosen)
            progress(replace(step, done=before + count * draws.local_steps + step.done, total=total, share=share))

        (task, seed), last = draws.all[number], number
        rivals = _rivals(batches, number)
        hear = None if progress is None else heard
        drawn[number] = localized(task, drawn[number], assessment, seed, rivals, hear)
    if progress is not None:
        progress(draws.progress_of([draws.all[last][0]], [drawn[last]], total, total, 1.0))
    return drawn


def _of_results(draws: Draws, drawn: Sequence[Solution]) -> dict[int, Assessment]:
    """The draws that the tasks' results are made of, by their number in the row, as judged beside the others."""
    found: dict[int, Assessment] = {}
    for task, solution in zip(draws.tasks, draws.by_task(drawn), strict=True):
        numbers = [number for number, (other, _) in enumerate(draws.all) if other is task]
        if solution.assessments:
            for draw in result_draws(task, solution.assessments):
                found[numbers[draw]] = solution.assessments[draw]
    return found


def _rivals(batches: Sequence[Batch], number: int) -> dict[str, Tensor]:
    """The rivals of a draw of the row, as of a `State`."""
    batch = next(each for each in batches if each.start <= number < each.stop)
    size, place = batch.stop - batch.start, number - batch.start
    return {name: value.unflatten(0, (size, -1))[place] for name, value in batch.state.rivals.items()}
