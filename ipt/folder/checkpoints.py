"""Where a solve stands, on disk: OUT/.state/NAME.pt, a file for each batch that is being solved.

A torch file of tensors, numbers and text, read without running anything. It is replaced whole, so a process that is
killed at any moment leaves a state from which the next one goes on to the same result.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch

from ipt.core.errors import IptError
from ipt.core.solver import State
from ipt.images.atomic import atomic
from ipt.images.records import identity
from ipt.solve.tasks import Part

FOLDER = ".state"


@dataclass(frozen=True)
class Saved:
    """members: identity of each picture of the batch by its name, in the batch's order. parts: how far its draws are.
    seconds: spent so far."""

    members: Mapping[str, str]
    parts: Sequence[Part]
    seconds: float


@dataclass
class Checkpoint:
    """Writes a batch's state every so many seconds; a `ipt.solve.tasks.Keeper`, and a context that begins it.

    members: as in `Saved`. spent: seconds of earlier processes. The file stays until `remove`.
    """

    out: Path
    members: Mapping[str, str]
    every: float
    spent: float = 0.0
    _started: float = field(default_factory=time.monotonic)
    _written: float = field(default_factory=time.monotonic)

    @property
    def path(self) -> Path:
        return self.out / FOLDER / f"{identity(dict(self.members))}.pt"

    @property
    def seconds(self) -> float:
        return self.spent + time.monotonic() - self._started

    def __call__(self, parts: Sequence[Part], finished: bool) -> None:
        # The results of several pictures are not written in one stroke. A process that is killed between them finds
        # the others here: solved anew, in a smaller batch, they would differ in the last digits.
        unwritten = finished and len(self.members) > 1
        if unwritten or (not finished and time.monotonic() - self._written >= self.every):
            write(self.path, Saved(self.members, parts, self.seconds))
            self._written = time.monotonic()

    def remove(self) -> None:
        """The batch is done with: its state goes, and the folder with the last one."""
        remove(self.path)


def write(path: Path, saved: Saved) -> None:
    """Write a state, whole or not at all; IptError where that fails."""
    try:
        path.parent.mkdir(exist_ok=True)
        with atomic(path) as file:
            parts = [{**_plain(part), "trace": list(part.trace), "state": _plain(part.state)} for part in saved.parts]
            torch.save({"members": dict(saved.members), "parts": parts, "seconds": saved.seconds}, file)
    except (OSError, RuntimeError) as error:
        raise IptError(f"{path} cannot be written ({error}); free some space, or choose another -o") from error


def read(path: Path, device: str = "cpu") -> Saved | None:
    """The state in a file, to go on with on `device`; None if it is damaged."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        parts = [_on(Part(**{**part, "state": State(**part["state"])}), device) for part in found["parts"]]
        return Saved(dict(found["members"]), parts, float(found["seconds"]))
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


def _on(part: Part, device: str) -> Part:
    """The random streams' states stay on the CPU, where they are drawn."""
    state = replace(
        part.state,
        noisy={name: value.to(device) for name, value in part.state.noisy.items()},
        clean={name: value.to(device) for name, value in part.state.clean.items()},
        residual=part.state.residual.to(device),
    )
    return replace(part, state=state, trace=tuple(value.to(device) for value in part.trace))
