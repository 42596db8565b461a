"""`--engine`: local, local:N, ray or ray:N."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch

from ipt.core.errors import Misuse
from ipt.folder.engines.crew import Team
from ipt.folder.engines.local import LocalTeam
from ipt.folder.engines.worker import Setup
from ipt.folder.options import ExecutionOptions
from ipt.folder.work import is_folder
from ipt.solve.options import SolveOptions

_RANKS = ("LOCAL_RANK", "SLURM_LOCALID")


def choose_team(options: SolveOptions, execution: ExecutionOptions, out: Path) -> Callable[[], Team] | None:
    """What makes the workers for the folder `options.input`; None: this process solves, as it does a single picture.

    local: a worker for each GPU, where there are several and neither a device is named nor torchrun or Slurm gave this
    process one. IptError: no such engine, or Ray is missing.
    """
    found = re.fullmatch(r"(local|ray)(?::([1-9]\d*))?", execution.engine)
    if found is None:
        raise Misuse(f"there is no engine {execution.engine!r}; --engine is local, local:N, ray or ray:N")
    name, count = found[1], int(found[2]) if found[2] else None
    if not is_folder(options):
        return None
    setup = Setup(options, execution, out.absolute())
    if name == "ray":
        # Ray takes a while to load, and is not everywhere.
        from ipt.folder.engines.cluster import RayTeam, load_ray

        return partial(RayTeam, load_ray(), setup, count)
    devices = local_devices(options.device, count, torch.cuda.device_count(), os.environ)
    return partial(LocalTeam, setup, devices) if len(devices) > 1 else None


def local_devices(device: str, count: int | None, gpus: int, environment: Mapping[str, str]) -> list[str]:
    """The device of each worker on a machine with so many GPUs; count: the workers asked for, None: as many as suit."""
    if device != "auto" or gpus == 0:
        return ["cpu" if device == "auto" else device] * (count or 1)
    if count is None:
        count = 1 if any(name in environment for name in _RANKS) else gpus
    return [f"cuda:{number % gpus}" for number in range(count)]
