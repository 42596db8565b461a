"""A run of `ipt solve`: options -> inputs -> pipeline -> backend (this process or workers) -> outcomes.

Pictures that were finished with the same options are skipped, and a batch that was interrupted continues from its
checkpoint, so that a killed run ends with the results of an undisturbed one. In a folder, a picture that fails is
recorded and the others are solved, and several processes can share the work (`ipt.folder.shards`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ipt.core.errors import IptError, Misuse
from ipt.core.operator import IMAGE
from ipt.folder import pins
from ipt.folder.finding import find_inputs
from ipt.folder.inputs import InputImage, check_files, check_names, is_folder
from ipt.folder.log import Log
from ipt.folder.options import ExecutionOptions
from ipt.folder.pipeline import Pipeline
from ipt.folder.place import USUAL, usual_folder
from ipt.folder.serial import SerialBackend
from ipt.folder.shards import Shard, shard_from
from ipt.folder.workers.choosing import choose_pool
from ipt.folder.workers.pool import PoolBackend, WorkerPool
from ipt.images.atomic import output_folders
from ipt.images.outcomes import Outcome, ProgressListener
from ipt.solve.defaults import ANY, UsualPrior
from ipt.solve.defaults import USUAL as USUAL_PRIOR
from ipt.solve.options import SolveOptions
from ipt.solve.outputs import roles, settle


@dataclass(frozen=True)
class Run:
    """A run that has not begun. Iterating over it solves the pictures, and yields their outcomes as they end.

    Attributes:
        out: the folder of the results.
        pipeline: solves a picture.
        inputs: all pictures of the run.
        shard: the share of them that this process solves.
        pins: the contents of run.yaml.
        pool: starts the workers, given `out`; None: this process solves.
        listener: gets the progress.
    """

    out: Path
    pipeline: Pipeline
    inputs: Sequence[InputImage]
    shard: Shard
    pins: Mapping[str, Any]
    pool: Callable[[Path], WorkerPool] | None
    listener: ProgressListener

    @property
    def own(self) -> list[InputImage]:
        """The inputs that this process solves."""
        return self.shard.of(self.inputs)

    def __iter__(self) -> Iterator[Outcome]:
        out, own, listener, folder = self.out, self.own, self.listener, self.pipeline.of_folder
        with output_folders(out), Log(out, self.shard, len(self.inputs), len(own)) if folder else nullcontext() as log:
            # Without other shards, no other process is writing here, and all that a killed run left can be cleaned up.
            alone = folder and self.shard.count == 1
            settle(out, [image.stem for image in own], pages=alone)
            if folder:
                pins.write(out, self.pins)

            def on_batch(names: Sequence[str]) -> None:
                if log is not None:
                    log.write("batch", names=list(names))

            common = (self.pipeline, listener, on_batch, alone)
            backend = SerialBackend(*common) if self.pool is None else PoolBackend(*common, self.pool(out))
            for outcome in backend.outcomes(own):
                if not folder:
                    pins.write(out, self.pins)
                if log is not None:
                    reason = {"reason": outcome.reason} if outcome.reason else {}
                    log.write(outcome.status, name=outcome.name, **reason)
                listener.end(outcome)
                yield outcome


def solve_all(options: SolveOptions, execution: ExecutionOptions, out: Path | None, listener: ProgressListener) -> Run:
    """Set up the run that solves every picture of `options.input`, or the example.

    Args:
        options: of the run.
        execution: how the run is executed.
        out: the folder of the results; None: the default one (`ipt.folder.place`).
        listener: gets the progress.

    Returns:
        The run, which solves as it is iterated over. If a single picture cannot be solved, it raises IptError then.

    Raises:
        IptError: an input, component, file or device that the options name does not exist or cannot be used, or the
            folder holds another run.
    """
    inputs = find_inputs(options, out or Path(USUAL), listener.note)
    folder = is_folder(options)
    shard = _shard(execution.shard, folder)
    if out is None and shard.count > 1:
        raise Misuse(f"shard {shard} ({shard.origin}): all shards must write into the same folder; name it (out=)")
    # Unreadable inputs, which have no shape, are reported when they are solved.
    shape = next((shape for image in inputs if (shape := image.shape)), None)
    pool = choose_pool(options, execution, shape)
    # If workers solve, this process needs the pipeline only for identities and pins.
    build_options = options if pool is None else replace(options, device="cpu")
    pipeline = Pipeline.build(build_options, execution, out or Path(USUAL), shape)
    if IMAGE not in options.prior:
        _note_prior(shard.of(inputs), pipeline.solvers.usual, listener)
    wanted = pins.pins(options, pipeline.weights)
    if out is None:
        out, where = usual_folder(pipeline, inputs, wanted)
        pipeline = replace(pipeline, out=out)
        listener.note(where)
    run = Run(out, pipeline, inputs, shard, wanted, pool, listener)
    names = roles(
        pipeline.parameters,
        options.samples,
        bool(options.frames) or any(image.is_video for image in inputs),
        options.reference is not None or not folder,
    )
    check_names(inputs, run.own, out, names)
    if not execution.force:
        check_files(run.own, out, options.format)
    pins.check(out, wanted, execution.force)
    if not options.input:
        listener.note(pipeline.example.description(options.operator))
    if shard.count > 1:
        listener.note(f"Shard {shard} ({shard.origin}): {len(run.own)} of {len(inputs)} pictures.")
    return run


def _note_prior(inputs: Sequence[InputImage], usual: UsualPrior, listener: ProgressListener) -> None:
    """Note if a picture does not get the default prior, and why, and if one gets it by its size alone."""
    why = next((why for image in inputs if (why := usual.reason(image.name, image.shape))), "")
    if why:
        each = "" if len(inputs) == 1 else " for each picture that needs it"
        listener.note(f"Prior {ANY}{each}, since {why}.")
    faces = next((image.name for image in inputs if usual.is_by_size(image.shape)), None)
    if faces is not None and usual.options.input:
        listener.note(f"Prior {USUAL_PRIOR}, by the size of {faces}: a picture of something else needs --prior {ANY}.")


def _shard(asked: Shard | None, folder: bool) -> Shard:
    if folder:
        return asked or shard_from(os.environ)
    # In a job array each task may have a picture of its own, so the environment's shard is for folders only.
    if asked is not None and asked.count > 1:
        raise IptError(f"shard={asked} shares out a folder, and this is one picture; leave it out")
    return Shard()
