"""From the inputs of a run to results on disk: prepared one at a time, solved in batches, written one at a time.

Which inputs, in which order and in which process is up to the caller (`ipt.folder.run`, a backend). What becomes of a
picture depends on none of that.
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
from ipt.images.parameters import parameter_file, read_parameter
from ipt.images.records import file_hash, identity, weight_hashes
from ipt.linalg.random import image_seed
from ipt.plugins.faults import located
from ipt.solve import example
from ipt.solve.batches import BatchSizer, out_of_memory, solve_tasks
from ipt.solve.cost import LARGE, cost_of
from ipt.solve.devices import choose_device
from ipt.solve.example import Example
from ipt.solve.masks import read_mask
from ipt.solve.options import SolveOptions
from ipt.solve.outputs import read_record, write_failure, write_result
from ipt.solve.prepare import ImageTask, PreparedImage, prepare
from ipt.solve.result import image_result
from ipt.solve.solvers import Solvers
from ipt.solve.truth import read_truth, truth_file


@dataclass(frozen=True)
class BatchMember:
    """An input that is ready to be solved.

    Attributes:
        input: which one.
        prepared: as the prior takes it.
        identity: of all that its result depends on.
        seconds: that preparing it took.
        finished: its result is there already, and it is solved only because its batch goes on from a checkpoint.
    """

    input: InputImage
    prepared: PreparedImage
    identity: str
    seconds: float
    finished: bool = False


@dataclass(frozen=True)
class Pipeline:
    """What the options of a run build, and what it does to an input.

    Attributes:
        options: of the run.
        execution: how the run goes.
        out: the folder of the results.
        solvers: for its pictures.
        known: parameters that are given, by name.
        parameters: names of the operator's, each either unknown, with a prior, or known.
        weights: hashes of those that all its pictures have in common, by unknown.
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
        """The pipeline of a run.

        Args:
            options: what is solved.
            execution: how.
            out: the folder of the results.
            shape: (C, H, W) of one of its pictures, whose solver is built at once; None: of any.

        Raises:
            IptError: what the options name does not exist or cannot be.
        """
        known = {name: read_parameter(path) for name, path in options.known.items()}
        device = choose_device(options.device)
        solvers = Solvers(options, known, device)
        priors = dict(solvers.solver_for("", shape).priors)
        parameters = (*(name for name in priors if name != IMAGE), *known)
        if IMAGE not in options.prior:
            del priors[IMAGE]
        return cls(options, execution, out, solvers, known, parameters, weight_hashes(priors), device)

    @cached_property
    def of_folder(self) -> bool:
        """Whether a picture's failure is written down; else it is raised."""
        return is_folder(self.options)

    @cached_property
    def example(self) -> Example:
        """What is solved without an input; IptError: there is none for this operator or prior."""
        seed = image_seed(self.options.seed, example.NAME)
        solver = self.solvers.solver_for(example.NAME, None)
        return example.example(solver.priors[IMAGE], solver.operator, seed, max(1, self.options.frames), self.known)

    def finished(self, image: InputImage, identity: str = "") -> dict[str, Any]:
        """The record of an earlier result that is whole and was made with all the same (`identity`); else empty."""
        record = read_record(self.out, image.stem)
        if not record or record.get("identity") != (identity or self.identity(image)):
            return {}
        return record if all((self.out / name).is_file() for name in record["files"].values()) else {}

    def identity(self, image: InputImage) -> str:
        """Names everything that the result of an input depends on, by content where it is a file."""
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
        """An input made ready; or its outcome, if it was solved before (unless `again`) or cannot be."""
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
        """Solve members of one shape together, from the batch's checkpoint if there is one, and write their results.

        Yields:
            An outcome for each member whose result was not there, in their order.
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
        # Which of them it is, shows when each is alone.
        for member in batch:
            yield from self.solve([member], sizer, listener)

    def resumed(self, inputs: Mapping[str, InputImage], path: Path) -> tuple[list[BatchMember], Checkpoint] | None:
        """The batch whose checkpoint is in a file; inputs: by name.

        Returns:
            None where it is of other pictures than `inputs`, or of what they were before they or the options changed.

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
        """An input that came to nothing: written down in a folder; else the error is raised."""
        if not self.of_folder:
            raise error
        reason = str(error) if isinstance(error, IptError) else located(error)
        if out_of_memory(error):
            reason = "out of memory, even alone; take fit=crop or fit=resize, precision=bf16, or a larger device"
        # Where not even this can be written (the disk is full), the run ends here.
        write_failure(self.out, image.stem, reason, {"input": image.name, "options": self._options(image).record()})
        return Outcome(image.name, "failed", reason=reason)

    def record(self, image: InputImage, identity: str) -> dict[str, Any]:
        """What the json of an input's result holds of the run."""
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
        """What a picture is solved with: with its own prior, and of many inputs itself alone."""
        options = self.solvers.usual.options_for(image.name, image.shape)
        return options if len(options.input) < 2 or image.path is None else replace(options, input=(image.path,))

    def _task(self, image: InputImage) -> ImageTask:
        options = self.options
        picture: Sequence[Picture]
        truth = None
        if image.path is None:
            picture, truth = self.example.exposures, self.example.truth
            options = replace(options, noise=options.noise or self.example.noise)
        else:
            units = measured(self.solvers.usual.operator) is not None
            read = measurements.read
            picture = read_exposures(image.path, units) if options.frames else [read(image.path, units)]
        if options.reference:
            place = truth_file(options.reference, image.place, Path(image.name).suffix)
            truth = read_truth(place, self.parameters)
        height, width = picture[0].shape[1:]
        mask = None if options.mask is None else read_mask(options.mask, (height, width))
        given = picture if options.frames else picture[0]
        levels = read_levels(options.noise) if isinstance(options.noise, Path) else None
        return ImageTask.of(options, given, image.name, self.known, truth, mask, levels)
