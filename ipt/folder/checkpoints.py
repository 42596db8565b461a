"""Checkpoints of solves: OUT/.state/NAME.pt, one for each batch that is being solved.

A checkpoint is a torch file of tensors, numbers and text, loaded with weights_only=True. It is replaced atomically, so
that a process killed at any moment leaves one from which the next process continues to the same result.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from ipt.core.errors import IptError
from ipt.core.solver import State
from ipt.images.atomic import atomic
from ipt.images.records import identity
from ipt.solve.draws import Batch

FOLDER = ".state"


@dataclass(frozen=True)
class Checkpoint:
    """The state of a solve of some pictures.

    Attributes:
        members: identity of each picture by its name, in order.
        batches: the states of their draws.
        seconds: spent so far, in all processes.
    """

    members: Mapping[str, str]
    batches: Sequence[Batch]
    seconds: float


class Checkpointer:
    """A context that writes checkpoints of a solve at intervals, and removes the last one at its end.

    The checkpoint stays after an interruption (Ctrl-C, or a generator that is closed), as it does if the process is
    killed, so that the next process can continue. After an error it is removed.

    Args:
        out: the folder of the results.
        members: as in `Checkpoint`.
        every: seconds between two checkpoints.
        spent: seconds that earlier processes spent.
    """

    def __init__(self, out: Path, members: Mapping[str, str], every: float, spent: float = 0.0):
        self.path = out / FOLDER / f"{identity(dict(members))}.pt"
        self.members, self.every, self.spent = members, every, spent
        self._entered = self._written = time.monotonic()

    def __enter__(self) -> Checkpointer:
        self._entered = self._written = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or issubclass(kind, Exception):
            remove(self.path)

    @property
    def seconds(self) -> float:
        """Spent on this solve, in all processes."""
        return self.spent + time.monotonic() - self._entered

    def save(self, batches: Sequence[Batch], finished: bool) -> None:
        """Write the state if it is time to; an `ipt.solve.draws.SaveState`."""
        # The results of several pictures are written one by one. If the process is killed in between, the others are
        # made from this checkpoint: solved again, in a smaller batch, they would differ in the last digits.
        unwritten = finished and len(self.members) > 1
        if unwritten or (not finished and time.monotonic() - self._written >= self.every):
            write(self.path, Checkpoint(self.members, batches, self.seconds))
            self._written = time.monotonic()


def paths(out: Path) -> list[Path]:
    """The files of all checkpoints in a folder of results."""
    return sorted((out / FOLDER).glob("*.pt"))


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, whole or not at all; IptError if it cannot be written."""
    try:
        path.parent.mkdir(exist_ok=True)
        with atomic(path) as file:
            batches = [
                {**_plain(one), "trace": list(one.trace), "state": _plain(one.state)} for one in checkpoint.batches
            ]
            values = {"members": dict(checkpoint.members), "batches": batches, "seconds": checkpoint.seconds}
            torch.save(values, file)
    except (OSError, RuntimeError) as error:
        raise IptError(f"{path} cannot be written ({error}); free some space, or choose another out=") from error


def read(path: Path, device: str = "cpu") -> Checkpoint | None:
    """The checkpoint in a file, with its tensors on `device`; None if the file is damaged."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        batches = [_on(Batch(**{**one, "state": State(**one["state"])}), device) for one in found["batches"]]
        return Checkpoint(dict(found["members"]), batches, float(found["seconds"]))
    except (OSError, RuntimeError, EOFError, ValueError, TypeError, KeyError, AttributeError, pickle.UnpicklingError):
        return None


def remove(path: Path) -> None:
    """Remove a checkpoint, partial files of it from killed processes, and the folder if it is empty then."""
    for file in [path, *path.parent.glob(f".{path.name}.*.partial")]:
        file.unlink(missing_ok=True)
    # The folder may hold other checkpoints, or be gone.
    with suppress(OSError):
        path.parent.rmdir()


def _plain(record: Any) -> dict[str, Any]:
    """The fields of a dataclass, not copied (as `dataclasses.asdict` does)."""
    return {item.name: getattr(record, item.name) for item in fields(record)}


def _on(batch: Batch, device: str) -> Batch:
    """A batch on a device; the states of random generators stay on the CPU."""
    state = replace(
        batch.state,
        noisy={name: value.to(device) for name, value in batch.state.noisy.items()},
        clean={name: value.to(device) for name, value in batch.state.clean.items()},
        residual=batch.state.residual.to(device),
        rivals={name: value.to(device) for name, value in batch.state.rivals.items()},
    )
    return replace(batch, state=state, trace=tuple(value.to(device) for value in batch.trace))
