"""torch.compile for the network of a prior."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ipt.core.errors import IptError, Misuse


def compiled(network: nn.Module, device: torch.device, wanted: bool) -> None:
    """Have the network compiled at its first call, in place, so that its parameters keep their names; or leave it.

    Raises:
        IptError: nothing can be compiled for that device here, which is tried at once on a single number: for want of
            a C++ compiler, say, without which the network's first call would fail in the middle of a solve.
    """
    if not isinstance(wanted, bool):
        raise Misuse(f"compile is true or false, not {wanted!r}")
    if not wanted:
        return
    try:
        torch.compile(_probe)(torch.zeros(1, device=device))
        network.compile()
    # Compilers fail in their own ways.
    except Exception as error:
        # What follows is how to see the whole of torch's stack.
        first = str(error).partition("Set TORCHDYNAMO_VERBOSE")[0]
        reason = " ".join(first.split())[:200] or type(error).__name__
        raise IptError(
            f"torch.compile does not work here ({reason}): install what it lacks (on a CPU, a C++ compiler such as "
            f"g++), or leave the option compile out"
        ) from error


def _probe(value: Tensor) -> Tensor:
    return value.sin() + 1
