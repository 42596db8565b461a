"""Which draws are refined with local parameters, when all of them are made and compared.

Only the draws that a result is made of are: `result_draws` chooses them, `localized` refines one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ipt.core.abilities import Assessment
from ipt.core.solver import Solution
from ipt.images.outcomes import Progress
from ipt.solve.choice import result_draws
from ipt.solve.draws import BEFORE_LOCAL, Batch, Draws, batch_with
from ipt.solve.joining import split_draws
from ipt.solve.local import localized
from ipt.solve.progress import Listener, complete_progress


def refined(
    draws: Draws, batches: Sequence[Batch], solutions: Sequence[Solution], progress: Listener | None = None
) -> list[Solution]:
    """All draws of a row, one solution each, some of them refined.

    Args:
        draws: the row.
        batches: of all of the row, complete.
        solutions: of each batch.
        progress: called after every step.
    """
    drawn = [draw for solution in solutions for draw in split_draws(solution)]
    if not draws.local_steps:
        return drawn
    chosen = _chosen(draws, drawn)
    before = len(batches) * batches[-1].state.total
    total, last = before + draws.most_local_steps, len(drawn) - 1
    for count, (number, assessment) in enumerate(chosen.items()):

        def listen(step: Progress, count: int = count) -> None:
            assert progress is not None
            share = BEFORE_LOCAL + (1 - BEFORE_LOCAL) * (count + (step.share or 0)) / len(chosen)
            progress(replace(step, done=before + count * draws.local_steps + step.done, total=total, share=share))

        draw, last = draws.row[number], number
        rivals = batch_with(batches, number).rivals_of(number)
        listener = None if progress is None else listen
        drawn[number] = localized(draw.task, drawn[number], assessment, draw.seed, rivals, listener)
    report_end(draws, batches, drawn, last, progress)
    return drawn


def report_end(
    draws: Draws, batches: Sequence[Batch], drawn: Sequence[Solution], number: int, progress: Listener | None
) -> None:
    """Report that a row which may be refined is done, with the residual and image of one draw; `drawn`: all draws."""
    if progress is not None and draws.local_steps:
        total = len(batches) * batches[-1].state.total + draws.most_local_steps
        progress(complete_progress([draws.row[number].task], [drawn[number]], total, total, 1.0))


def _chosen(draws: Draws, drawn: Sequence[Solution]) -> dict[int, Assessment]:
    """The draws that results are made of, by their number in the row, with their assessments given the other draws."""
    chosen: dict[int, Assessment] = {}
    for task, solution in zip(draws.tasks, draws.by_task(drawn), strict=True):
        numbers = draws.numbers_of(task)
        if solution.assessments:
            for draw in result_draws(task, solution.assessments):
                chosen[numbers[draw]] = solution.assessments[draw]
    return chosen
