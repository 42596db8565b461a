"""The device that a solve runs on."""

from __future__ import annotations

import os

import torch

from ipt.core.errors import IptError


def choose_device(name: str) -> str:
    """A torch device that is there.

    Args:
        name: "auto" is the GPU if there is one, and where torchrun or Slurm started several processes on a machine of
            several, one each.

    Raises:
        IptError: there is no such device here.
    """
    if name == "auto":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        local = os.environ.get("LOCAL_RANK") or os.environ.get("SLURM_LOCALID") or "0"
        return f"cuda:{int(local) % count}" if count > 1 and local.isdigit() else "cuda" if count else "cpu"
    try:
        torch.empty(1, device=name)
    # Which error says that a device is missing differs between torch's builds and devices.
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
