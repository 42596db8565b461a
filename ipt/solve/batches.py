"""Solve tasks of one shape in batches that fit into memory: `SamplingTask`s -> `solve_tasks` -> a `Solution` each.

    usual pictures:  row of draws --batches--> solutions --`refined`--> joined by task
    large pictures:  region --batches--> parameters --> row of tiles --batches--> solutions --> joined by picture

If a batch does not fit into memory it is tried again with half as many draws.
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
from ipt.sampling import regional
from ipt.solve.draws import Batch, Draws, SaveState
from ipt.solve.joining import split_draws
from ipt.solve.local import local_steps
from ipt.solve.parts import Part, Preview
from ipt.solve.progress import Listener, listener_to_part
from ipt.solve.refinement import refined, report_end
from ipt.solve.row import RegionResult
from ipt.solve.task import SamplingTask
from ipt.solve.tiles import SIDE, Tiling

_CPU_PIXELS = 2**15
"""Pixels of a batch on a CPU: 8 draws at 64x64, which take .6 of the time of single ones."""
_GPU_PIXELS = 2**22
"""Pixels of a batch on a GPU, before any was too large: 64 draws at 256x256."""
_COST_OF_PLACES = 2
"""Time of a step with local kernels over that of one with a single kernel (benchmarks/results/localized.json)."""
LARGEST_BATCH = 256
"""Most draws of a batch, unless more are asked for."""


class BatchSizer:
    """How many draws of a shape are solved together.

    It depends on the shape and on what ran out of memory before, not on the memory that is free at the moment, so that
    a resumed run forms the same batches.

    Args:
        asked: number of draws; None: as many as the device can use.
        device: a torch device.
        note: called with a sentence when memory did not suffice.
    """

    def __init__(self, asked: int | None = None, device: str = "cpu", note: Callable[[str], None] | None = None):
        self.asked, self.device, self._note = asked, device, note
        self._halved: dict[tuple[int, ...], int] = {}

    def size(self, shape: tuple[int, ...]) -> int:
        """The number of draws of a shape (C, H, W) in a batch."""
        pixels = _GPU_PIXELS if self.device.startswith("cuda") else _CPU_PIXELS
        usual = min(LARGEST_BATCH, max(1, pixels // (shape[-2] * shape[-1])))
        return self._halved.get(shape, usual if self.asked is None else self.asked)

    def halve(self, shape: tuple[int, ...], tried: int) -> None:
        """Halve the batches of a shape, after `tried` draws did not fit; their tensors must have been freed before."""
        self._halved[shape] = max(1, tried // 2)
        size = f"{shape[-1]} x {shape[-2]} px"
        self.tell(f"out of memory with {tried} at once at {size}; going on with {self._halved[shape]}")

    def tell(self, sentence: str) -> None:
        """Note that memory did not suffice, and free what a GPU has cached."""
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()
        if self._note is not None:
            self._note(sentence)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory did not suffice; torch's CPU allocator raises a plain RuntimeError."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and ("allocate memory" in str(error) or "enough memory" in str(error))


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
    if tasks[0].from_parameters:
        return _solve_from_parameters(tasks, sizer, progress, save, begun)
    draws = Draws(tasks, local=True)
    batches, solutions = _solve_row(draws, sizer, progress, save, begun)
    return draws.by_task(_refined(draws, batches, solutions, sizer, progress))


def _solve_from_parameters(
    tasks: Sequence[SamplingTask],
    sizer: BatchSizer,
    progress: Listener | None,
    save: SaveState | None,
    begun: Sequence[Batch],
) -> list[Solution]:
    """Solve whole pictures in tiles, from parameters that are given or are found in a region first."""
    first, tiling = tasks[0], _tiling(tasks[0])
    previews = [Preview(task.measurement[0]) for task in tasks]
    tiles = [
        [_shown_in(preview, tile, place) for tile, place in zip(tiling.tasks(task), tiling, strict=True)]
        for task, preview in zip(tasks, previews, strict=True)
    ]
    regions: list[RegionResult] = []
    steps_in_region, share_of_region = 0, 0.0
    if first.region is not None:
        region_work, tile_work = work_of(tasks)
        share_of_region = region_work / (region_work + tile_work)
        tile_steps = _steps_from_parameters(first) * math.ceil(sum(map(len, tiles)) / sizer.size(tiles[0][0].shape))
        listener = listener_to_part(progress, 0, tile_steps, stop=share_of_region)
        regions, steps_in_region = _solve_regions(tasks, previews, sizer, listener)
    region_of_tile = [region for region, own in zip(regions, tiles, strict=True) for _ in own] if regions else ()
    draws = Draws([tile for own in tiles for tile in own], region_of_tile)
    listener = listener_to_part(progress, steps_in_region, 0, start=share_of_region)
    _, solutions = _solve_row(draws, sizer, listener, save, begun)
    by_tile = iter(draws.by_task(solutions))
    wholes = [tiling.joined(list(islice(by_tile, len(own)))) for own in tiles]
    if not regions:
        return wholes
    return [region.continued(whole) for region, whole in zip(regions, wholes, strict=True)]


def _solve_regions(
    tasks: Sequence[SamplingTask], previews: Sequence[Preview], sizer: BatchSizer, progress: Listener | None
) -> tuple[list[RegionResult], int]:
    """The results in the tasks' regions, and the number of steps.

    Their states are not saved: regions are small, and give the same result again.
    """
    draws = Draws([_shown_in(one, task.of_region(), task.region) for task, one in zip(tasks, previews, strict=True)])
    batches, solutions = _solve_row(draws, sizer, progress)
    return draws.best(batches, solutions), batches[-1].state.total * len(batches)


def _shown_in(preview: Preview, task: SamplingTask, place: tuple[slice, slice] | None) -> SamplingTask:
    """The task of a part of a picture, in rows and columns, with the preview that it is shown in."""
    assert place is not None
    return replace(task, part=Part(preview, *place))


def work_of(tasks: Sequence[SamplingTask]) -> tuple[int, int]:
    """Pixels of all steps and draws, without the reserve: in the tasks' regions, and in the whole pictures."""
    first, draws = tasks[0], sum(len(task.seeds) for task in tasks)
    if not first.from_parameters:
        pixels = draws * math.prod(first.shape[1:])
        return 0, Draws(tasks).work + _COST_OF_PLACES * local_steps(first) * pixels
    tile_pixels = sum(math.prod(tile.shape[1:]) for tile in _tiling(first).tasks(first))
    in_regions = 0 if first.region is None else Draws([task.of_region() for task in tasks]).work
    return in_regions, tile_pixels * _steps_from_parameters(first) * draws


def at_once(task: SamplingTask) -> int:
    """Pixels of a draw that are in memory together: of its competing draws of smaller images, or of a tile."""
    if not task.from_parameters:
        return Draws([task]).largest
    tile = math.prod(_tiling(task).tasks(task)[0].shape[1:])
    return tile if task.region is None else max(Draws([task.of_region()]).largest, tile)


def _steps_from_parameters(task: SamplingTask) -> int:
    """Steps in which a whole picture is solved from its parameters."""
    return len(regional.schedule(task.solver).sigmas()) - 1


def _tiling(task: SamplingTask) -> Tiling:
    """The tiles of a picture: a single one if its parameters differ from place to place."""
    operator = task.solver.operator
    if task.region is not None:
        operator = regional.operator_of(task.solver, task.of_region().shape, task.shape)
    whole = ability(operator, regional.Regional) is not None
    return Tiling.of(operator, task.shape, max(operator.image_shape(task.shape)[1:]) if whole else SIDE)


def _solve_row(
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


def _refined(
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
