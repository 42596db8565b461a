"""torch.compile for the network of a prior."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ipt.core.errors import IptError, Misuse


def compiled(network: nn.Module, device: torch.device, wanted: bool) -> None:
    """Have a network compiled at its first call, in place, so that its parameters keep their names.

    Args:
        network: the network.
        device: where it runs.
        wanted: whether to do so; if not, nothing happens.

    Raises:
        IptError: nothing can be compiled for this device here, for example without a C++ compiler. That is tried on a
            single number, because the network's first call would fail in the middle of a solve.
    """
    if not isinstance(wanted, bool):
        raise Misuse(f"compile is true or false, not {wanted!r}")
    if not wanted:
        return
    try:
        torch.compile(_probe)(torch.zeros(1, device=device))
        network.compile()
    # Compilers raise exceptions of many types.
    except Exception as error:
        # The rest of the message says how to see torch's stack.
        first = str(error).partition("Set TORCHDYNAMO_VERBOSE")[0]
        reason = " ".join(first.split())[:200] or type(error).__name__
        raise IptError(
            f"torch.compile does not work here ({reason}): install what it lacks (on a CPU, a C++ compiler such as "
            f"g++), or leave the option compile out"
        ) from error


def _probe(value: Tensor) -> Tensor:
    return value.sin() + 1
