"""A run of `ipt solve`: every picture of an input, in batches of one shape, each written whole or not at all.

A picture that was finished with the same options is passed over, and a batch that was being solved goes on where it
was, so a run that was killed goes on to the results that it would have had. In a folder a picture that cannot be solved
is written down and the others go on, and several processes can divide the folder (`ipt.folder.shards`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from ipt.core.errors import IptError
from ipt.folder import pins
from ipt.folder.inputs import check_files, check_names, find_inputs
from ipt.folder.log import Log
from ipt.folder.options import ExecutionOptions
from ipt.folder.pipeline import Pipeline
from ipt.folder.serial import SerialBackend
from ipt.folder.shards import Shard, shard_from
from ipt.folder.workers.choosing import choose_pool
from ipt.folder.workers.pool import PoolBackend
from ipt.images.atomic import check_folder
from ipt.images.outcomes import Outcome, ProgressListener
from ipt.solve.defaults import with_usual_prior
from ipt.solve.options import SolveOptions
from ipt.solve.outputs import roles, settle


def solve_all(
    options: SolveOptions, execution: ExecutionOptions, out: Path, listener: ProgressListener
) -> Iterator[Outcome]:
    """Solve every picture of `options.input` (a file, a folder, or None: the example) into a folder.

    Yields:
        The outcome of each picture, as they come.

    Raises:
        IptError: what the options name does not exist or cannot be; a single picture cannot be solved.
    """
    inputs = find_inputs(options)
    options, chosen = with_usual_prior(options)
    if chosen:
        listener.note(chosen)
    pool = choose_pool(options, execution, out)
    # Where others solve, this process only needs to know what will be solved.
    pipeline = Pipeline.build(options if pool is None else replace(options, device="cpu"), execution, out)
    folder = pipeline.of_folder
    shard = _shard(execution.shard, folder)
    own = shard.of(inputs)
    names = roles(
        pipeline.parameters, options.samples, bool(options.frames), options.reference is not None or not folder
    )
    check_names(inputs, own, out, names)
    if not execution.force:
        check_files(own, out)
    wanted = pins.pins(options, pipeline.solver.priors)
    pins.check(out, wanted, execution.force)
    if options.input is None:
        listener.note(pipeline.example.description(options.operator))
    check_folder(out)
    if shard.count > 1:
        listener.note(f"Shard {shard} ({shard.origin}): {len(own)} of {len(inputs)} pictures.")
    with Log(out, shard, len(inputs), len(own)) if folder else nullcontext() as log:
        # Alone, this run wrote whatever an earlier one left unfinished; else only what is of its own pictures.
        alone = folder and shard.count == 1
        settle(out, [image.stem for image in own], pages=alone)
        if folder:
            pins.write(out, wanted)

        def on_batch(names: Sequence[str]) -> None:
            if log is not None:
                log.write("batch", names=list(names))

        common = (pipeline, listener, on_batch, alone)
        backend = SerialBackend(*common) if pool is None else PoolBackend(*common, pool())
        for outcome in backend.outcomes(own):
            if not folder:
                pins.write(out, wanted)
            if log is not None:
                reason = {"reason": outcome.reason} if outcome.reason else {}
                log.write(outcome.status, name=outcome.name, **reason)
            listener.end(outcome)
            yield outcome


def _shard(asked: Shard | None, folder: bool) -> Shard:
    if folder:
        return asked or shard_from(os.environ)
    # A job array may give each of its tasks a picture of its own: only a folder is divided by the environment.
    if asked is not None and asked.count > 1:
        raise IptError(f"shard={asked} shares out a folder, and this is one picture; leave it out")
    return Shard()
