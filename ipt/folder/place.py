"""Where results go if nobody says: the folder ipt-out, or the next one that holds nothing of anybody else's."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ipt.folder import checkpoints, pins
from ipt.folder.inputs import InputImage
from ipt.folder.pipeline import Pipeline
from ipt.solve.outputs import read_record

USUAL = "ipt-out"


def usual_folder(pipeline: Pipeline, inputs: Sequence[InputImage], wanted: Mapping[str, Any]) -> tuple[Path, str]:
    """The first of ipt-out, ipt-out-2, ... that is missing or empty, or is of this very run, which so goes on there.

    A run is the same with the same input, options, versions and weights.

    Args:
        pipeline: of the run.
        inputs: all that it solves.
        wanted: its pins.

    Returns:
        The folder, and a sentence about it.
    """
    number = 0
    while True:
        number += 1
        place = Path(USUAL if number == 1 else f"{USUAL}-{number}")
        if _is_free(place):
            what = "Results go to"
        elif _is_of(place, pipeline, inputs, wanted):
            what = "This run goes on in"
        else:
            continue
        why = f", since {USUAL} holds something else" if number > 1 else ""
        return place, f"{what} {place}{why} (out= names another folder)."


def _is_free(place: Path) -> bool:
    """Whether there is nothing, or a folder of nothing but what a process leaves that looks whether it can write."""
    if not os.path.lexists(place):
        return True
    return place.is_dir() and all(path.match(".*.partial") for path in place.iterdir())


def _is_of(place: Path, pipeline: Pipeline, inputs: Sequence[InputImage], wanted: Mapping[str, Any]) -> bool:
    """Whether a folder is of this run, which a single picture's says only when it is done, or in its checkpoint."""
    if (place / "run.yaml").exists():
        return pins.is_same(place, wanted)
    if pipeline.of_folder:
        return False
    (image,) = inputs
    members = {image.name: pipeline.identity(image)}
    if read_record(place, image.stem).get("identity") == members[image.name]:
        return True
    found = [checkpoints.read(path) for path in checkpoints.paths(place)]
    return any(one is not None and dict(one.members) == members for one in found)
