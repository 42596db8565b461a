"""Who solves a folder: this process, or a pool of workers here or on a Ray cluster."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from ipt.core.errors import Misuse
from ipt.folder.inputs import is_folder
from ipt.folder.options import ExecutionOptions
from ipt.folder.workers.local import LocalPool
from ipt.folder.workers.pool import WorkerPool
from ipt.folder.workers.worker import WorkerSetup
from ipt.solve.options import SolveOptions

_RANKS = ("LOCAL_RANK", "SLURM_LOCALID")


def choose_pool(
    options: SolveOptions, execution: ExecutionOptions, shape: tuple[int, ...] | None = None
) -> Callable[[Path], WorkerPool] | None:
    """What starts the workers for several pictures, given the folder of the results.

    None: this process solves, as it does a single picture.

    The engine "local" has a worker for each GPU, where there are several and neither a device is named nor torchrun or
    Slurm gave this process one.

    Raises:
        IptError: there is no such engine, or Ray is missing.
    """
    found = re.fullmatch(r"(local|ray)(?::([1-9]\d*))?", execution.engine)
    if found is None:
        raise Misuse(f"there is no engine {execution.engine!r}; it is local, local:N, ray or ray:N")
    name, count = found[1], int(found[2]) if found[2] else None
    if not is_folder(options):
        return None

    def setup(out: Path) -> WorkerSetup:
        return WorkerSetup(options, execution, out.absolute(), shape)

    if name == "ray":
        # Ray takes a while to load, and is not everywhere.
        from ipt.folder.workers.ray import RayPool, load_ray

        library = load_ray()
        return lambda out: RayPool(library, setup(out), count)
    devices = local_devices(options.device, count, torch.cuda.device_count(), os.environ)
    return (lambda out: LocalPool(setup(out), devices)) if len(devices) > 1 else None


def local_devices(device: str, count: int | None, gpus: int, environment: Mapping[str, str]) -> list[str]:
    """The device of each worker on a machine with so many GPUs; count: the workers asked for, None: as many as suit."""
    if device != "auto" or gpus == 0:
        return ["cpu" if device == "auto" else device] * (count or 1)
    if count is None:
        count = 1 if any(name in environment for name in _RANKS) else gpus
    return [f"cuda:{number % gpus}" for number in range(count)]
