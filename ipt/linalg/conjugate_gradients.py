"""Conjugate gradients for a batch of independent systems."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def conjugate_gradients(
    apply: Callable[[Tensor], Tensor],
    right: Tensor,
    start: Tensor | None,
    iterations: int,
    precondition: Callable[[Tensor], Tensor] | None = None,
    tolerance: float = 0.0,
) -> Tensor:
    """Solve A x = right for each image of a batch, A symmetric and positive definite.

    Every scalar is per image, so an image's result does not depend on the others.

    Args:
        apply: x -> A x, image by image.
        right: (B, ...).
        start: of the iteration, (B, ...); None: 0, which saves an application of A.
        iterations: how many at most.
        precondition: r -> an approximation of A^-1 r.
        tolerance: an image is done when its residual, in the preconditioner's norm, is this share of what it was.

    References:
        Hestenes, Stiefel, "Methods of Conjugate Gradients for Solving Linear Systems" (1952).
    """
    solution, residual = (torch.zeros_like(right), right) if start is None else (start, right - apply(start))
    direction, energy = torch.zeros_like(right), torch.ones_like(_dot(right, right))
    enough: Tensor | None = None
    for _ in range(iterations):
        ready = precondition(residual) if precondition else residual
        following = _dot(residual, ready)
        enough = tolerance**2 * following if enough is None else enough
        going = following > enough
        if not going.any():
            break
        direction = ready + following / energy.clamp(min=1e-30) * direction
        energy = following
        image = apply(direction)
        length = torch.where(going, energy / _dot(direction, image).clamp(min=1e-30), 0)
        solution = solution + length * direction
        residual = residual - length * image
    return solution


def _dot(first: Tensor, second: Tensor) -> Tensor:
    ndim = first.ndim
    if first.is_complex():
        first, second = torch.view_as_real(first), torch.view_as_real(second)
    total = (first * second).flatten(1).sum(1)
    return total.reshape(-1, *[1] * (ndim - 1))
