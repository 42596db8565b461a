"""Posterior draws of several measurements of one shape, solved together in batches that fit into memory.

The draws of all tasks make one row, which is solved from left to right, a batch of as many as memory takes after the
other. No draw depends on those beside it. Here are no files, pictures or options.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice

import torch

from ipt.core.abilities import ability
from ipt.core.solver import Solution
from ipt.images.outcomes import Progress
from ipt.sampling import regional
from ipt.solve.draws import Batch, Draws, SaveState
from ipt.solve.local import local_steps
from ipt.solve.parts import Part, Preview
from ipt.solve.refinement import refined
from ipt.solve.task import SamplingTask
from ipt.solve.tiles import SIDE, Tiling

_CPU_PIXELS = 2**15
"""Pixels of a batch on a CPU: 8 draws at 64x64, which take .6 of the time that they take one by one."""
_GPU_PIXELS = 2**22
"""Pixels of a batch on a GPU, to begin with: 64 draws at 256x256."""
_COST_OF_PLACES = 2
"""Steps with one kernel that take as long as one with a kernel in each place (benchmarks/results/localized.json)."""
LARGEST_BATCH = 256
"""Draws; what is chosen by the device never exceeds it."""


class BatchSizer:
    """How many draws of a shape are solved together.

    It depends on the shape and on what failed before, never on the memory that happens to be free, so that a run that
    is continued forms the same batches.

    Args:
        asked: so many; None: as many as the device has use for.
        device: a torch device.
        note: called with a sentence when memory did not suffice.
    """

    def __init__(self, asked: int | None = None, device: str = "cpu", note: Callable[[str], None] | None = None):
        self.asked, self.device, self._note = asked, device, note
        self._halved: dict[tuple[int, ...], int] = {}

    def size(self, shape: tuple[int, ...]) -> int:
        """Draws of (C, H, W) that make a batch."""
        pixels = _GPU_PIXELS if self.device.startswith("cuda") else _CPU_PIXELS
        usual = min(LARGEST_BATCH, max(1, pixels // (shape[-2] * shape[-1])))
        return self._halved.get(shape, usual if self.asked is None else self.asked)

    def halve(self, shape: tuple[int, ...], tried: int) -> None:
        """So many did not fit; call it when nothing holds their tensors any more."""
        self._halved[shape] = max(1, tried // 2)
        size = f"{shape[-1]} x {shape[-2]} px"
        self.tell(f"out of memory with {tried} at once at {size}; going on with {self._halved[shape]}")

    def tell(self, sentence: str) -> None:
        """Memory did not suffice: what was held is free again."""
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()
        if self._note is not None:
            self._note(sentence)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says so; torch's CPU allocator raises a plain RuntimeError."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and ("allocate memory" in str(error) or "enough memory" in str(error))


def solve_tasks(
    tasks: Sequence[SamplingTask],
    sizer: BatchSizer,
    progress: Callable[[Progress], None] | None = None,
    save: SaveState | None = None,
    begun: Sequence[Batch] = (),
) -> list[Solution]:
    """Draw from the posteriors of tasks of one shape: a Solution each, its batch being the task's draws.

    Those of its seeds come first, in their order, then those that were made of its reserve.

    Args:
        tasks: of one shape.
        sizer: says how many draws make a batch; where memory does not suffice, it halves them.
        progress: called after every step.
        save: called after every step, to write down where the solve is.
        begun: batches that `save` was given in an earlier process; the result is what it would have been there.

    Raises:
        IptError: what the solver refuses.
        MemoryError, RuntimeError: not even one draw fits into memory.
    """
    if not _from_known(tasks[0]):
        draws = Draws(tasks, local=True)
        return draws.by_task(_refined(draws, *_solved(draws, sizer, progress, save, begun), sizer, progress))
    tiling, found, before, share = _tiling(tasks[0]), [], 0, 0.0
    previews = [Preview(task.measurement[0]) for task in tasks]
    tiles = [
        [_shown(tile, one, place) for tile, place in zip(tiling.tasks(task), tiling, strict=True)]
        for task, one in zip(tasks, previews, strict=True)
    ]
    if tasks[0].region is not None:
        # The region's state is not saved: it is small, and comes out the same again.
        region = Draws([_shown(task.of_region(), one, task.region) for task, one in zip(tasks, previews, strict=True)])
        steps, work = len(regional.schedule(tasks[0].solver).sigmas()) - 1, work_of(tasks)
        later, share = steps * math.ceil(sum(map(len, tiles)) / sizer.size(tiles[0][0].shape)), work[0] / sum(work)
        batches, solutions = _solved(region, sizer, _part(progress, 0, later, 0.0, share))
        found, before = region.best(batches, solutions), batches[-1].state.total * len(batches)
    each = [one for one, own in zip(found, tiles, strict=True) for _ in own] if found else ()
    draws = Draws([tile for own in tiles for tile in own], each)
    solved = iter(draws.by_task(_solved(draws, sizer, _part(progress, before, 0, share, 1.0), save, begun)[1]))
    whole = [tiling.joined(list(islice(solved, len(own)))) for own in tiles]
    return [one.continued(solution) for one, solution in zip(found, whole, strict=True)] if found else whole


def _shown(task: SamplingTask, preview: Preview, place: tuple[slice, slice] | None) -> SamplingTask:
    """A task that is a part of what is previewed, there."""
    assert place is not None
    return replace(task, part=Part(preview, *place))


def work_of(tasks: Sequence[SamplingTask]) -> tuple[int, int]:
    """Pixels of all steps and draws, without the reserve: in the tasks' regions, and in all of their pictures."""
    first = tasks[0]
    if not _from_known(first):
        pixels = sum(len(task.seeds) * math.prod(task.shape[1:]) for task in tasks)
        local = _COST_OF_PLACES * local_steps(first) * pixels
        return 0, Draws(tasks).work + local
    steps, tiles = len(regional.schedule(first.solver).sigmas()) - 1, _tiling(first).tasks(first)
    whole = sum(math.prod(tile.shape[1:]) for tile in tiles) * steps * sum(len(task.seeds) for task in tasks)
    return 0 if first.region is None else Draws([task.of_region() for task in tasks]).work, whole


def at_once(task: SamplingTask) -> int:
    """Pixels of what is in memory together of a draw: of its pictures that compete, or of a tile."""
    if not _from_known(task):
        return Draws([task]).largest
    tile = math.prod(_tiling(task).tasks(task)[0].shape[1:])
    return tile if task.region is None else max(Draws([task.of_region()]).largest, tile)


def _from_known(task: SamplingTask) -> bool:
    """Whether all of the picture is solved from parameters that are given, or were found in a region."""
    return task.begun or task.region is not None


def _tiling(task: SamplingTask) -> Tiling:
    """The tiles of a picture; parameters that have places in the frame are of all of it."""
    operator = task.solver.operator
    if task.region is not None:
        operator = regional.operator_of(task.solver, task.of_region().shape, task.shape)
    whole = ability(operator, regional.Regional) is not None
    return Tiling.of(operator, task.shape, max(operator.image_shape(task.shape)[1:]) if whole else SIDE)


def _part(
    progress: Callable[[Progress], None] | None, before: int, after: int, start: float, stop: float
) -> Callable[[Progress], None] | None:
    """What hears a part of a solve, with so many steps before and after it, as shares `start` to `stop` of the work."""
    if progress is None:
        return None
    return lambda step: progress(
        replace(
            step,
            done=before + step.done,
            total=before + step.total + after,
            share=None if step.share is None else start + (stop - start) * step.share,
        )
    )


def _solved(
    draws: Draws,
    sizer: BatchSizer,
    progress: Callable[[Progress], None] | None = None,
    save: SaveState | None = None,
    begun: Sequence[Batch] = (),
) -> tuple[list[Batch], list[Solution]]:
    """All batches of a row, and what each of them amounts to; arguments as of `solve_tasks`."""
    complete: list[Batch] = []
    solutions: list[Solution] = []
    resumed = list(begun)
    while len(draws) > (start := complete[-1].stop if complete else 0):
        first = resumed.pop(0) if resumed else None
        stop = min(start + sizer.size(draws.shape), len(draws)) if first is None else first.stop
        try:
            batch, solution = draws.solve(start, stop, first, complete, progress, save)
            if progress is not None and not (first is not None and first.state.finished):
                progress(draws.done(batch, solution, complete))
            complete.append(batch)
            solutions.append(solution)
            if draws.tasks[0].begun:
                _give_back_memory()
            if batch.stop == len(draws):
                draws.extend(solutions)
            continue
        except (MemoryError, RuntimeError) as error:
            if stop - start == 1 or not out_of_memory(error):
                raise
        # Only here, where the error and with it the tensors of the attempt are gone.
        sizer.halve(draws.shape, stop - start)
    return complete, solutions


def _refined(
    draws: Draws,
    batches: Sequence[Batch],
    solutions: Sequence[Solution],
    sizer: BatchSizer,
    progress: Callable[[Progress], None] | None,
) -> Sequence[Solution]:
    """The draws of all batches, refined with local parameters if memory suffices."""
    try:
        return refined(draws, batches, solutions, progress)
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
    sizer.tell("out of memory for a kernel in each part of a picture; it keeps one for all of it")
    return solutions


def _give_back_memory() -> None:
    """What was freed goes back to the system.

    glibc keeps what lies between what is still in use, and what is kept of a tile lies amid what its solve needed: of a
    picture in many tiles much more was held at the end than was used.
    """
    with suppress(AttributeError, OSError, TypeError):
        # Not in other C libraries.
        ctypes.CDLL(None).malloc_trim(0)
