"""The default folder of results: ipt-out, or the first of ipt-out-2, ipt-out-3, ... that holds no other run."""

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
    """The first of ipt-out, ipt-out-2, ... that is missing or empty, or holds this run, which is then continued.

    A run is the same if its input, options, versions and weights are.

    Args:
        pipeline: of the run.
        inputs: all inputs of the run.
        wanted: the pins of the run (`ipt.folder.pins`).

    Returns:
        The folder, and a sentence about it.
    """
    number = 0
    while True:
        number += 1
        place = Path(USUAL if number == 1 else f"{USUAL}-{number}")
        if _is_free(place):
            what = "Results go to"
        elif _holds_run(place, pipeline, inputs, wanted):
            what = "This run goes on in"
        else:
            continue
        why = f", since {USUAL} holds something else" if number > 1 else ""
        return place, f"{what} {place}{why} (out= names another folder)."


def _is_free(place: Path) -> bool:
    """Whether a folder is missing or empty, but for files with which a killed process tested whether it can write."""
    if not os.path.lexists(place):
        return True
    return place.is_dir() and all(path.match(".*.partial") for path in place.iterdir())


def _holds_run(place: Path, pipeline: Pipeline, inputs: Sequence[InputImage], wanted: Mapping[str, Any]) -> bool:
    """Whether a folder holds this run: by its run.yaml; of a single picture, also by its record or checkpoint."""
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
