"""The derivative J of a prediction at a point, as two maps on vectors: v -> J v and u -> J' u.

J' is automatic differentiation. J is the derivative of J' u in u, by a second backward pass, or central differences for
a prediction that can be differentiated only once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ipt.core.errors import IptError, first_line
from ipt.core.operator import ParametricOperator
from ipt.linalg.norms import norm

_ADJOINT = 1e3
"""Difference of <u, J J' u> and |J' u|^2, in units of their rounding error, up to which J and J' count as adjoint."""


@dataclass(frozen=True)
class Tangent:
    """A prediction at a point, and its derivative J there.

    Attributes:
        value: the prediction, (B, C, H, W).
        forward: v (B, N) -> J v (B, C, H, W).
        transposed: u (B, C, H, W) -> J' u (B, N).
    """

    value: Tensor
    forward: Callable[[Tensor], Tensor]
    transposed: Callable[[Tensor], Tensor]

    @classmethod
    def at(
        cls, point: Tensor, predict: Callable[[Tensor], Tensor], operator: ParametricOperator, names: str
    ) -> Tangent:
        """The tangent of a prediction.

        Args:
            point: where, (B, N).
            predict: the prediction, (B, N) -> (B, C, H, W), each image from its own row.
            operator: named in errors.
            names: the unknowns' names, for errors.

        Raises:
            IptError: the prediction cannot be differentiated.
        """
        with torch.enable_grad(), _reported(operator, names, lambda: predict(point.detach())):
            leaf = point.detach().requires_grad_()
            value = predict(leaf)
            if not value.requires_grad:
                raise RuntimeError("the measurement carries no gradient")

        def transposed(vector: Tensor) -> Tensor:
            with _reported(operator, names):
                (back,) = torch.autograd.grad(value, leaf, vector, retain_graph=True)
            return back

        by_differences = partial(_by_differences, predict, point)
        probe = 1 + random_signs(value)
        back = transposed(probe)
        try:
            by_two_backward = _by_two_backward(value, leaf)
            forth = by_two_backward(back)
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError:
            return cls(value.detach(), by_differences, transposed)
        # Part of a prediction may silently have no second derivative, and at a kink the two derivatives may be taken
        # from different sides. Then <u, J J' u> is not |J' u|^2, and differences are used for that image.
        difference = (probe * forth).flatten(1).sum(1, keepdim=True) - back.square().sum(1, keepdim=True)
        rounding = torch.finfo(point.dtype).eps * norm(probe)[:, None] * norm(forth)[:, None]
        unequal = (difference.abs() > _ADJOINT * rounding)[..., None, None]
        if not unequal.any():
            return cls(value.detach(), by_two_backward, transposed)
        return cls(value.detach(), lambda v: torch.where(unequal, by_differences(v), by_two_backward(v)), transposed)


def _by_differences(predict: Callable[[Tensor], Tensor], point: Tensor, vector: Tensor) -> Tensor:
    """J v by central differences, eps^(1/3) of a standard deviation to either side in the largest entry."""
    step: Tensor = torch.finfo(point.dtype).eps ** (1 / 3) / vector.abs().amax(1, keepdim=True).clamp(min=1e-30)
    change = predict(point + step * vector) - predict(point - step * vector)
    return change / (2 * step[..., None, None])


def _by_two_backward(value: Tensor, leaf: Tensor) -> Callable[[Tensor], Tensor]:
    """The map v -> J v as the derivative of v . J' u in u, which is linear in u.

    It is several times faster than torch.func.jvp, which predicts anew for each v, and grid_sample supports it.
    """
    with torch.enable_grad():
        cotangent = torch.zeros_like(value).requires_grad_()
        (back,) = torch.autograd.grad(value, leaf, cotangent, create_graph=True)
    return lambda vector: torch.autograd.grad(back, cotangent, vector, retain_graph=True)[0]


@contextmanager
def _reported(operator: ParametricOperator, names: str, plainly: Callable[[], object] | None = None) -> Iterator[None]:
    """Turns a RuntimeError of differentiation into an IptError that names the operator.

    Args:
        operator: named in the error.
        names: the unknowns' names, for the error.
        plainly: the same computation without derivatives. If it fails too, that error is raised unchanged.
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


def random_signs(like: Tensor, seed: int = 0) -> Tensor:
    """A pattern of +-1 shaped like a tensor (B, ...), fixed by the seed and the same for every image."""
    pattern = torch.randint(0, 2, like.shape[1:], generator=torch.Generator().manual_seed(seed))
    return (2 * pattern - 1).to(like).expand_as(like)
