"""How a run of `ipt solve` goes, which no result depends on."""

from __future__ import annotations

from dataclasses import dataclass

from ipt.folder.shards import Shard


@dataclass(frozen=True)
class ExecutionOptions:
    """Options that are not written down with the results.

    Attributes:
        batch: draws that are solved together; None: as suits the device and the pictures' size.
        save_every: seconds between two checkpoints of a solve.
        shard: the share of a folder that this process solves; None: as torchrun or Slurm say, else all of it.
        engine: who solves a folder, "local" or "ray", with ":N" in so many workers.
        force: solve again what is done, with other options than before if need be, and replace files that are there.
    """

    batch: int | None = None
    save_every: float = 60.0
    shard: Shard | None = None
    engine: str = "local"
    force: bool = False
