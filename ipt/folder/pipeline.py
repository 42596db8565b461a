"""From the inputs of a run to results on disk: `prepare` one input, `solve` a batch, write each result.

The order of inputs, their batches and their processes are up to the caller (`ipt.folder.run` and its backend); no
result depends on them.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from ipt.core.errors import IptError
from ipt.core.operator import IMAGE
from ipt.core.solver import Solution
from ipt.folder import checkpoints
from ipt.folder.checkpoints import Checkpoint, Checkpointer
from ipt.folder.inputs import InputImage, is_folder
from ipt.folder.options import ExecutionOptions
from ipt.images import measurements
from ipt.images.exposures import read_exposures
from ipt.images.files import Picture
from ipt.images.measurements import measured, read_levels
from ipt.images.outcomes import Outcome, ProgressListener
from ipt.images.parameters import parameter_file
from ipt.images.records import file_hash, identity, weight_hashes
from ipt.linalg.random import image_seed
from ipt.plugins.faults import located
from ipt.solve import example
from ipt.solve.batches import solve_tasks
from ipt.solve.cost import LARGE, cost_of
from ipt.solve.devices import choose_device
from ipt.solve.example import Example
from ipt.solve.known import read_known
from ipt.solve.masks import read_mask
from ipt.solve.options import SolveOptions
from ipt.solve.outputs import read_record, write_failure, write_result
from ipt.solve.prepare import ImageTask, PreparedImage, prepare
from ipt.solve.result import image_result
from ipt.solve.sizer import BatchSizer, out_of_memory
from ipt.solve.solvers import Solvers
from ipt.solve.truth import read_truth, truth_file


@dataclass(frozen=True)
class BatchMember:
    """An input that is ready to be solved.

    Attributes:
        input: the input.
        prepared: what it was prepared to.
        identity: a digest of everything that its result depends on.
        seconds: that the preparation took.
        finished: whether its result exists; it is then solved only because its batch continues from a checkpoint.
    """

    input: InputImage
    prepared: PreparedImage
    identity: str
    seconds: float
    finished: bool = False


@dataclass(frozen=True)
class Pipeline:
    """Everything that a run's options build, and the steps from an input to its result.

    Attributes:
        options: of the run.
        execution: how the run is executed.
        out: the folder of the results.
        solvers: for the pictures of the run.
        known: known parameters by name.
        parameters: names of all the operator's parameters, unknown and known.
        weights: hashes of the weights that all pictures have in common, by unknown.
        device: a torch device.
    """

    options: SolveOptions
    execution: ExecutionOptions
    out: Path
    solvers: Solvers
    known: Mapping[str, Tensor]
    parameters: tuple[str, ...]
    weights: Mapping[str, str]
    device: str

    @classmethod
    def build(
        cls, options: SolveOptions, execution: ExecutionOptions, out: Path, shape: tuple[int, ...] | None = None
    ) -> Pipeline:
        """Build the pipeline of a run.

        Args:
            options: of the run.
            execution: how the run is executed.
            out: the folder of the results.
            shape: (C, H, W) of one of the pictures, whose solver is built at once; None: not known.

        Raises:
            IptError: a component, file or device that the options name does not exist or cannot be used.
        """
        device = choose_device(options.device)
        solvers = Solvers(options, options.known, device)
        known = read_known(options.known, solvers.usual.operator)
        priors = dict(solvers.solver_for("", shape).priors)
        parameters = (*(name for name in priors if name != IMAGE), *known)
        if IMAGE not in options.prior:
            del priors[IMAGE]
        return cls(options, execution, out, solvers, known, parameters, weight_hashes(priors), device)

    @cached_property
    def of_folder(self) -> bool:
        """Whether a picture's failure is recorded, and the run continues; else the error is raised."""
        return is_folder(self.options)

    @cached_property
    def example(self) -> Example:
        """The example that is solved without an input; IptError if the operator or prior does not allow one."""
        seed = image_seed(self.options.seed, example.NAME)
        solver = self.solvers.solver_for(example.NAME, None)
        return example.example(solver.priors[IMAGE], solver.operator, seed, max(1, self.options.frames), self.known)

    def finished(self, image: InputImage, identity: str = "") -> dict[str, Any]:
        """The record of an earlier result if it is complete and has this identity ("": computed here); else empty."""
        record = read_record(self.out, image.stem)
        if not record or record.get("identity") != (identity or self.identity(image)):
            return {}
        return record if all((self.out / name).is_file() for name in record["files"].values()) else {}

    def identity(self, image: InputImage) -> str:
        """A digest of everything that the result of an input depends on; files by their contents."""
        solver = self.solvers.solver_for(image.name, image.shape)
        values = {**self._common, "input": image.content, "weights": weight_hashes(solver.priors)}
        if self.options.reference:
            truth = truth_file(self.options.reference, image.place, Path(image.name).suffix)
            beside = [parameter_file(truth, name) for name in self.parameters]
            values["reference"] = [
                file_hash(path) for path in (truth, *beside) if path == truth or os.path.isfile(path)
            ]
        for name in ("mask", "noise"):
            if isinstance(file := getattr(self.options, name), Path):
                values[name] = file_hash(file)
        return identity(values)

    @cached_property
    def _common(self) -> dict[str, Any]:
        values = self.options.plain()
        for name in ("input", "recursive", "reference", "known", "device", "border"):
            values.pop(name)
        values["set"] = self.options.settings()
        values["known"] = {name: value.tolist() for name, value in self.known.items()}
        return values

    def prepare(self, image: InputImage, again: bool = False) -> Outcome | BatchMember:
        """Prepare an input.

        Args:
            image: the input.
            again: prepare it even if its result exists.

        Returns:
            The prepared input; or its outcome, if its result exists or it cannot be prepared.
        """
        started = time.perf_counter()
        try:
            named = self.identity(image)
            if not again and (record := self.finished(image, named)):
                return Outcome(image.name, "skipped", record)
            prepared = prepare(self.solvers.solver_for(image.name, image.shape), self._task(image), self.device)
            return BatchMember(image, prepared, named, time.perf_counter() - started)
        except Exception as error:
            return self.failed(image, error)

    def solve(
        self,
        batch: Sequence[BatchMember],
        sizer: BatchSizer,
        listener: ProgressListener,
        checkpoint: Checkpoint | None = None,
    ) -> Iterator[Outcome]:
        """Solve a batch and write the results. If it fails, each member is solved alone.

        Args:
            batch: members of one kind (`SamplingTask.kind`).
            sizer: says how many draws are solved together.
            listener: gets the progress.
            checkpoint: of this batch, to continue from.

        Yields:
            An outcome for each member that was not finished, in their order.
        """
        members = {member.input.name: member.identity for member in batch}
        spent, begun = (checkpoint.seconds, checkpoint.batches) if checkpoint else (0.0, ())
        with Checkpointer(self.out, members, self.execution.save_every, spent) as checkpointer:
            try:
                tasks = [member.prepared.sampling for member in batch]
                if checkpoint is None and math.prod(tasks[0].shape[1:]) >= LARGE and (cost := cost_of(tasks)):
                    listener.note(f"{', '.join(members)}: {cost}")
                solutions = solve_tasks(tasks, sizer, listener.step, checkpointer.save, begun)
            except Exception as error:
                failure = error
            else:
                seconds = checkpointer.seconds / len(batch)
                for member, solution in zip(batch, solutions, strict=True):
                    if not member.finished:
                        yield self._write(member, solution, member.seconds + seconds)
                return
        if len(batch) == 1:
            yield self.failed(batch[0].input, failure)
            return
        # One member may have failed the batch: solved one by one, the others succeed.
        for member in batch:
            yield from self.solve([member], sizer, listener)

    def resumed(self, inputs: Mapping[str, InputImage], path: Path) -> tuple[list[BatchMember], Checkpoint] | None:
        """The batch of a checkpoint, prepared again.

        Args:
            inputs: those to be solved, by name.
            path: of the checkpoint.

        Returns:
            The members and the checkpoint; None if it is of other pictures than `inputs`, or if these or the options
            have changed since.

        Raises:
            IptError: the file is damaged.
        """
        checkpoint = checkpoints.read(path, self.device)
        if checkpoint is None:
            raise IptError(f"{path} is damaged")
        members = []
        for name, named in checkpoint.members.items():
            member = self.prepare(inputs[name], again=True) if name in inputs else None
            if not isinstance(member, BatchMember) or member.identity != named:
                return None
            members.append(replace(member, finished=bool(self.finished(member.input, named))))
        return (members, checkpoint) if len({member.prepared.sampling.kind for member in members}) == 1 else None

    def failed(self, image: InputImage, error: Exception) -> Outcome:
        """The outcome of an input that failed, recorded in a.failed.json; of a single picture the error is raised."""
        if not self.of_folder:
            raise error
        reason = str(error) if isinstance(error, IptError) else located(error)
        if out_of_memory(error):
            reason = "out of memory, even alone; take fit=crop or fit=resize, precision=bf16, or a larger device"
        # If this cannot be written either (the disk is full), the error ends the run.
        write_failure(self.out, image.stem, reason, {"input": image.name, "options": self._options(image).record()})
        return Outcome(image.name, "failed", reason=reason)

    def record(self, image: InputImage, identity: str) -> dict[str, Any]:
        """The entries of a result's json that come from the run: options, identity, path and hash of the input."""
        record: dict[str, Any] = {"options": self._options(image).record(), "identity": identity}
        if image.path is not None:
            record |= {"path": str(image.path), "input_sha256": image.content}
        return record

    def _write(self, member: BatchMember, solution: Solution, seconds: float) -> Outcome:
        try:
            result = image_result(member.prepared, solution, seconds)
            image = member.input
            record = {**result.record, **self.record(image, member.identity)}
            path = write_result(self.out, image.stem, replace(result, record=record))
            return Outcome(image.name, "done", json.loads(path.read_text(encoding="utf-8")))
        except Exception as error:
            return self.failed(member.input, error)

    def _options(self, image: InputImage) -> SolveOptions:
        """The options of one picture: with the prior that it has, and itself as the only input."""
        options = self.solvers.usual.options_for(image.name, image.shape)
        return options if len(options.input) < 2 or image.path is None else replace(options, input=(image.path,))

    def _task(self, image: InputImage) -> ImageTask:
        """Read an input, its mask, its noise map and its truth."""
        options = self.options
        picture: Sequence[Picture]
        truth = None
        if image.path is None:
            picture, truth = self.example.exposures, self.example.truth
            options = replace(options, noise=options.noise or self.example.noise)
        else:
            units = measured(self.solvers.usual.operator) is not None
            picture = read_exposures(image.path, units) if options.frames else [measurements.read(image.path, units)]
        if options.reference:
            place = truth_file(options.reference, image.place, Path(image.name).suffix)
            truth = read_truth(place, self.parameters)
        height, width = picture[0].shape[1:]
        mask = None if options.mask is None else read_mask(options.mask, (height, width))
        given = picture if options.frames else picture[0]
        levels = read_levels(options.noise) if isinstance(options.noise, Path) else None
        return ImageTask.of(options, given, image.name, self.known, truth, mask, levels)
