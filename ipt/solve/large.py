"""Large pictures: solved from given parameters, from those of a region, or from half their sides.

task --`solve_half`--> surely right?  --yes-----------------------> continued at full size, or enlarged
--no--> region --likelier?--> row of tiles --batches--> joined by picture
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from ipt.core.solver import Solution
from ipt.sampling import halving, regional
from ipt.solve.draws import Batch, Draws, SaveState
from ipt.solve.halving import HalfDraw, continued, loses_detail, solve_half
from ipt.solve.parts import Part, Preview
from ipt.solve.progress import Listener, Stages
from ipt.solve.row import RegionResult
from ipt.solve.sizer import BatchSizer
from ipt.solve.solved_row import solve_row
from ipt.solve.task import SamplingTask
from ipt.solve.tiles import tiling_of
from ipt.solve.verdict import LIKELY, SURE
from ipt.solve.work import Work


def solve_large(
    tasks: Sequence[SamplingTask],
    sizer: BatchSizer,
    progress: Listener | None,
    save: SaveState | None,
    begun: Sequence[Batch],
) -> list[Solution]:
    """Solve large pictures; arguments as of `ipt.solve.batches.solve_tasks`."""
    stages, work = Stages(progress), Work.of(tasks)
    halves = {}
    for number, task in enumerate(tasks):
        if task.half:
            listener = stages.next(work.half / work.total / len(tasks), halving.STEPS)
            halves[number] = solve_half(task, sizer, listener)
    previews = [Preview(task.measurement[0]) for task in tasks]
    unsure = [
        number
        for number, task in enumerate(tasks)
        if task.region is not None and _to_beat(task, halves.get(number, ())) < SURE
    ]
    regions = {}
    if unsure:
        listener = stages.next(work.region / work.total, _steps_in_tiles([tasks[number] for number in unsure], sizer))
        shown = [_shown_in(previews[number], tasks[number].of_region(), tasks[number].region) for number in unsure]
        regions = dict(zip(unsure, _solve_regions(shown, sizer, listener), strict=True))
    found: dict[int, Solution] = {}
    for number, half in halves.items():
        if number not in regions or regions[number].probability < _to_beat(tasks[number], half):
            share = (1 - stages.share) / (len(tasks) - len(found))
            found[number] = continued(tasks[number], half, stages.next(share))
    left = [number for number in range(len(tasks)) if number not in found]
    if left:
        chosen = [(tasks[number], previews[number], regions.get(number)) for number in left]
        in_tiles = _solve_tiles(chosen, sizer, stages.next(1 - stages.share), save, begun)
        found.update(zip(left, in_tiles, strict=True))
    return [found[number] for number in range(len(tasks))]


def _to_beat(task: SamplingTask, draws: Sequence[HalfDraw]) -> float:
    """The probability from which a region's result is preferred to that at half the sides; 0 without a half.

    If a picture is enlarged that could have finer detail, a region's result that is likely right is preferred.
    """
    likeliest = max(draws, key=lambda draw: draw.probability, default=None)
    if likeliest is None:
        return 0.0
    return min(likeliest.probability, LIKELY if loses_detail(task, likeliest) else 1.0)


def _solve_regions(regions: Sequence[SamplingTask], sizer: BatchSizer, progress: Listener | None) -> list[RegionResult]:
    """The results in regions.

    Their states are not saved: regions are small, and give the same result again.
    """
    draws = Draws(regions)
    batches, solutions = solve_row(draws, sizer, progress)
    return draws.best(batches, solutions)


def _solve_tiles(
    pictures: Sequence[tuple[SamplingTask, Preview, RegionResult | None]],
    sizer: BatchSizer,
    progress: Listener | None,
    save: SaveState | None,
    begun: Sequence[Batch],
) -> list[Solution]:
    """Whole pictures in tiles, from parameters that are given or were found in a region: (task, preview, region)."""
    tiling = tiling_of(pictures[0][0])
    tiles = [
        [_shown_in(preview, tile, place) for tile, place in zip(tiling.tasks(task), tiling, strict=True)]
        for task, preview, _ in pictures
    ]
    regions = [region for (_, _, region), own in zip(pictures, tiles, strict=True) for _ in own if region is not None]
    draws = Draws([tile for own in tiles for tile in own], regions)
    _, solutions = solve_row(draws, sizer, progress, save, begun)
    by_tile = iter(draws.by_task(solutions))
    wholes = [tiling.joined(list(islice(by_tile, len(own)))) for own in tiles]
    return [
        whole if region is None else region.continued(whole)
        for (_, _, region), whole in zip(pictures, wholes, strict=True)
    ]


def _steps_in_tiles(tasks: Sequence[SamplingTask], sizer: BatchSizer) -> int:
    """Steps in which whole pictures are solved in tiles, from parameters of a region."""
    tiles = tiling_of(tasks[0]).tasks(tasks[0])
    steps = len(regional.schedule(tasks[0].solver).sigmas()) - 1
    draws = len(tasks) * sum(len(tile.seeds) for tile in tiles)
    return steps * math.ceil(draws / sizer.size(tiles[0].shape))


def _shown_in(preview: Preview, task: SamplingTask, place: tuple[slice, slice] | None) -> SamplingTask:
    """The task of a part of a picture, in rows and columns, with the preview that it is shown in."""
    assert place is not None
    return replace(task, part=Part(preview, *place))
