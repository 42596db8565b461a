"""The derivative of a prediction at a point, as two maps on vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from ipt.core.errors import IptError, first_line
from ipt.core.operator import ParametricOperator
from ipt.linalg.norms import norm

_ADJOINT = 1e3
"""Roundings by which <u, J J' u> and |J' u|^2 may differ."""


@dataclass(frozen=True)
class Tangent:
    """A prediction and its derivative J at a point (B, N): value (B, C, H, W), J v and J' u."""

    value: Tensor
    forward: Callable[[Tensor], Tensor]
    transposed: Callable[[Tensor], Tensor]

    @classmethod
    def at(
        cls, point: Tensor, predict: Callable[[Tensor], Tensor], operator: ParametricOperator, names: str
    ) -> Tangent:
        with torch.enable_grad(), _reported(operator, names, lambda: predict(point.detach())):
            leaf = point.detach().requires_grad_()
            value = predict(leaf)
            if not value.requires_grad:
                raise RuntimeError("the measurement carries no gradient")

        def transposed(vector: Tensor) -> Tensor:
            with _reported(operator, names):
                (back,) = torch.autograd.grad(value, leaf, vector, retain_graph=True)
            return back

        def by_differences(vector: Tensor) -> Tensor:
            # Central, at most eps^(1/3) of a standard deviation to either side.
            length: Tensor = torch.finfo(point.dtype).eps ** (1 / 3) / vector.abs().amax(1, keepdim=True).clamp(
                min=1e-30
            )
            change = predict(point + length * vector) - predict(point - length * vector)
            return change / (2 * length[..., None, None])

        probe = 1 + signs(value)
        there = transposed(probe)
        try:
            by_two_backward = _by_two_backward(value, leaf)
            back_again = by_two_backward(there)
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError:
            return cls(value.detach(), by_differences, transposed)
        # A path that cannot be differentiated twice may be missing without a word, and at a kink the two derivatives
        # may take different sides: then this J is not the transpose of J'.
        differing = (probe * back_again).flatten(1).sum(1, keepdim=True) - there.square().sum(1, keepdim=True)
        rounding = torch.finfo(point.dtype).eps * norm(probe)[:, None] * norm(back_again)[:, None]
        unequal = (differing.abs() > _ADJOINT * rounding)[..., None, None]
        if not unequal.any():
            return cls(value.detach(), by_two_backward, transposed)
        return cls(value.detach(), lambda v: torch.where(unequal, by_differences(v), by_two_backward(v)), transposed)


def _by_two_backward(value: Tensor, leaf: Tensor) -> Callable[[Tensor], Tensor]:
    """The map v -> J v: J' u is linear in u, and the derivative of v . J' u in u is J v.

    Several times faster than torch.func.jvp, which predicts anew for each v, and grid_sample has it.
    """
    with torch.enable_grad():
        cotangent = torch.zeros_like(value).requires_grad_()
        (back,) = torch.autograd.grad(value, leaf, cotangent, create_graph=True)
    return lambda vector: torch.autograd.grad(back, cotangent, vector, retain_graph=True)[0]


@contextmanager
def _reported(operator: ParametricOperator, names: str, plainly: Callable[[], object] | None = None) -> Iterator[None]:
    """What goes wrong in differentiating, as an error that names the operator.

    plainly: the same without derivatives; what goes wrong there too is another error, which is raised as it is.
    """
    try:
        yield
    except torch.cuda.OutOfMemoryError:
        raise
    except RuntimeError as error:
        if plainly is not None:
            with torch.no_grad():
                plainly()
        reason = first_line(error).rstrip(".")
        raise IptError(
            f"the operator {type(operator).__name__} cannot be differentiated in {names} ({reason}).\n"
            "Write its forward and constrain in torch operations that have derivatives, or give it its own image_step "
            "and parameter_step"
        ) from error


def signs(like: Tensor, seed: int = 0) -> Tensor:
    """A fixed pattern of +-1 shaped like a tensor (B, ...), the same for every image."""
    pattern = torch.randint(0, 2, like.shape[1:], generator=torch.Generator().manual_seed(seed))
    return (2 * pattern - 1).to(like).expand_as(like)
