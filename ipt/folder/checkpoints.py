"""Where a solve stands, on disk: OUT/.state/NAME.pt, a file for each batch that is being solved.

A torch file of tensors, numbers and text, read without running anything. It is replaced whole, so a process that is
killed at any moment leaves a state from which the next one goes on to the same result.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Mapping, Sequence
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
    """Where the solve of some pictures stands.

    Attributes:
        members: identity of each picture by its name, in order.
        batches: how far their draws are.
        seconds: spent so far.
    """

    members: Mapping[str, str]
    batches: Sequence[Batch]
    seconds: float


class Checkpointer:
    """A context in which the state of a solve is written every so often, and removed at its end.

    It stays on disk where the context is left by an interruption (Ctrl-C, or a generator that is closed), as it does
    where the process is killed: the next process goes on from it. After an error it is removed.

    Args:
        out: the folder of the results.
        members: as of a `Checkpoint`.
        every: seconds between two states.
        spent: seconds of earlier processes.
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
        # The results of several pictures are not written in one stroke. A process that is killed between them finds
        # the others here: solved anew, in a smaller batch, they would differ in the last digits.
        unwritten = finished and len(self.members) > 1
        if unwritten or (not finished and time.monotonic() - self._written >= self.every):
            write(self.path, Checkpoint(self.members, batches, self.seconds))
            self._written = time.monotonic()


def paths(out: Path) -> list[Path]:
    """The files of all states in a folder of results."""
    return sorted((out / FOLDER).glob("*.pt"))


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Write a state, whole or not at all; IptError where that fails."""
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
    """The state in a file, to go on with on `device`; None if it is damaged."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        batches = [_on(Batch(**{**one, "state": State(**one["state"])}), device) for one in found["batches"]]
        return Checkpoint(dict(found["members"]), batches, float(found["seconds"]))
    except (OSError, RuntimeError, EOFError, ValueError, TypeError, KeyError, AttributeError, pickle.UnpicklingError):
        return None


def remove(path: Path) -> None:
    """Remove a state, what a killed process left of writing it, and the folder if it was the last."""
    for left in [path, *path.parent.glob(f".{path.name}.*.partial")]:
        left.unlink(missing_ok=True)
    try:
        path.parent.rmdir()
    except OSError:
        # Others' states are in it, or it is gone.
        return


def _plain(record: Any) -> dict[str, Any]:
    return {item.name: getattr(record, item.name) for item in fields(record)}


def _on(batch: Batch, device: str) -> Batch:
    """A batch on a device; the random streams' states stay on the CPU, where they are drawn."""
    state = replace(
        batch.state,
        noisy={name: value.to(device) for name, value in batch.state.noisy.items()},
        clean={name: value.to(device) for name, value in batch.state.clean.items()},
        residual=batch.state.residual.to(device),
        rivals={name: value.to(device) for name, value in batch.state.rivals.items()},
    )
    return replace(batch, state=state, trace=tuple(value.to(device) for value in batch.trace))
