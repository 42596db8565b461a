"""The device that a solve runs on."""

from __future__ import annotations

import os

import torch

from ipt.core.errors import IptError


def choose_device(name: str) -> str:
    """The torch device of a name, after a check that it works.

    Args:
        name: a torch device, or "auto": the GPU if there is one, else the CPU. Processes that torchrun or Slurm started
            on a machine with several GPUs take one each.

    Raises:
        IptError: this machine has no such device.
    """
    if name == "auto":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        local = os.environ.get("LOCAL_RANK") or os.environ.get("SLURM_LOCALID") or "0"
        return f"cuda:{int(local) % count}" if count > 1 and local.isdigit() else "cuda" if count else "cpu"
    try:
        torch.empty(1, device=name)
    # The type of the error for a missing device depends on torch's build and on the device.
    except (RuntimeError, AssertionError, ValueError, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:120]
        raise IptError(
            f"there is no device {name!r} here ({reason}); there is {', '.join(_present())}: name one, or use "
            f"device=auto"
        ) from None
    return name


def _present() -> list[str]:
    """The devices of this machine, with the names of GPUs."""
    gpus = range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    apple = ["mps"] if torch.backends.mps.is_available() else []
    return ["cpu", *(f"cuda:{number} ({torch.cuda.get_device_name(number)})" for number in gpus), *apple]
