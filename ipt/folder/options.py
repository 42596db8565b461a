"""Options of `ipt solve` that no result depends on."""

from __future__ import annotations

from dataclasses import dataclass

from ipt.folder.shards import Shard


@dataclass(frozen=True)
class ExecutionOptions:
    """Options of how a run is executed, which are not recorded with its results.

    Attributes:
        batch: number of draws that are solved together; None: by the device and the pictures' size.
        save_every: seconds between two checkpoints of a solve.
        shard: the share of a folder that this process solves; None: that of torchrun or Slurm, else the whole folder.
        engine: what solves a folder: "local" or "ray", or with a number of workers "local:N" or "ray:N".
        force: solve again what is done, even if it was begun with other options, and replace existing files.
    """

    batch: int | None = None
    save_every: float = 60.0
    shard: Shard | None = None
    engine: str = "local"
    force: bool = False
