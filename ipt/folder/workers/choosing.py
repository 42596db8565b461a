"""The choice of what solves a folder: this process, or a pool of workers on this machine or on a Ray cluster."""

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
    """Choose the worker pool of a run.

    The engine "local" has one worker per GPU if there are several, no device is named, and neither torchrun nor Slurm
    has assigned this process one.

    Args:
        options: of the run.
        execution: with the engine.
        shape: (C, H, W) of one of the pictures; None: not known.

    Returns:
        A function from the folder of the results to the pool; None: this process solves, as it does a single picture.

    Raises:
        IptError: there is no such engine, or Ray is not installed.
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
    """The device of each local worker.

    Args:
        device: as in the options, a torch device or "auto".
        count: number of workers; None: by the number of GPUs.
        gpus: number of GPUs of this machine.
        environment: tells whether torchrun or Slurm started this process.
    """
    if device != "auto" or gpus == 0:
        return ["cpu" if device == "auto" else device] * (count or 1)
    if count is None:
        count = 1 if any(name in environment for name in _RANKS) else gpus
    return [f"cuda:{number % gpus}" for number in range(count)]
