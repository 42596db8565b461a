"""The precision in which a network computes: names that users give, and torch's types.

Everything around a network's layers stays in float32: its input is scaled to about 1 there, and its output is combined
with the noisy variable there. So no noise level leaves the range of a half-precision type, and noise levels themselves
are never rounded.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from ipt.core.errors import IptError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

AUTO = "auto"
"""bf16 where a device computes in it natively, else fp32."""
_TYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
"""Names of torch's types: the command line reads this module without importing torch."""
PRECISIONS = (AUTO, *_TYPES)


def checked(precision: str, device: torch.device | str = "cpu") -> str:
    """The precision, or what "auto" means on the device; IptError if it is none of PRECISIONS."""
    if precision not in PRECISIONS:
        raise IptError(f"precision is {', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}, not {precision!r}")
    if precision != AUTO:
        return precision
    return "bf16" if _native_bf16(device) else "fp32"


def checked_device(name: str, device: torch.device | str) -> torch.device:
    """The device for a prior of this name; IptError where there is none that is called so."""
    import torch

    try:
        return torch.device(device)
    except RuntimeError:
        raise IptError(f"{str(device)!r} is no device that {name} could run on: give cpu, cuda or cuda:0") from None


def _native_bf16(device: torch.device | str) -> bool:
    import torch

    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    if kind != "cpu":
        return False
    # Torch has no public function for this; a later version without these ones computes in fp32.
    asked = (getattr(torch.cpu, f"_is_{name}_supported", None) for name in ("avx512_bf16", "amx_tile"))
    return any(bool(ask()) for ask in asked if ask is not None)


def computing(precision: str, device: torch.device) -> AbstractContextManager[None]:
    """A context in which a network's layers compute in this precision: automatic mixed precision, none for fp32."""
    import torch

    half = getattr(torch, _TYPES[checked(precision, device)])
    return torch.autocast(device.type, half if half != torch.float32 else torch.bfloat16, half != torch.float32)


def rounded(network: nn.Module, precision: str, device: torch.device) -> None:
    """Round the layers' weights to the precision that they compute in, in place; otherwise each call rounds them."""
    import torch
    from torch import nn

    kind = checked(precision, device)
    for layer in network.modules():
        if kind != "fp32" and isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Linear):
            layer.to(getattr(torch, _TYPES[kind]))


def check_range(found: Tensor, noisy: Tensor, precision: str, name: str) -> None:
    """IptError where a network's output is not finite for finite input, because numbers of fp16 end at 65504."""
    if precision == "fp16" and not found.isfinite().all() and noisy.isfinite().all():
        raise IptError(f"{name} leaves the range of fp16 (65504): choose precision=bf16 or fp32")
