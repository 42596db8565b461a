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
    inner: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> Tensor:
    """Solve A x = right for each image of a batch, A symmetric and positive definite.

    Every scalar is per image, so an image's result does not depend on the others.

    Args:
        apply: x -> A x, image by image.
        right: right-hand sides, (B, ...).
        start: first guess, (B, ...); None: 0, which saves an application of A.
        iterations: most iterations.
        precondition: r -> an approximation of A^-1 r.
        tolerance: relative residual, in the preconditioner's norm, at which an image is done.
        inner: inner product of each image, for which A is symmetric, (B, 1, ...); None: `inner_product`.

    Returns:
        The solutions, (B, ...).

    References:
        Hestenes, Stiefel, "Methods of Conjugate Gradients for Solving Linear Systems" (1952).
    """
    inner = inner or inner_product
    solution, residual = (torch.zeros_like(right), right) if start is None else (start, right - apply(start))
    direction, energy = torch.zeros_like(right), torch.ones_like(inner(right, right))
    target: Tensor | None = None
    for _ in range(iterations):
        preconditioned = precondition(residual) if precondition else residual
        next_energy = inner(residual, preconditioned)
        target = tolerance**2 * next_energy if target is None else target
        active = next_energy > target
        if not active.any():
            break
        direction = _moved(preconditioned, next_energy / energy.clamp(min=1e-30), direction)
        energy = next_energy
        applied = apply(direction)
        length = torch.where(active, energy / inner(direction, applied).clamp(min=1e-30), 0)
        solution, residual = _moved(solution, length, direction), _moved(residual, -length, applied)
    return solution


def _moved(place: Tensor, length: Tensor, direction: Tensor) -> Tensor:
    """Place + length * direction in a single pass; the length is real."""
    return torch.addcmul(place, length.to(direction.dtype), direction)


def inner_product(first: Tensor, second: Tensor) -> Tensor:
    """Inner product of each image, (B, 1, ...); of complex tensors its real part."""
    ndim = first.ndim
    if first.is_complex():
        first, second = torch.view_as_real(first), torch.view_as_real(second)
    total = (first * second).flatten(1).sum(1)
    return total.reshape(-1, *[1] * (ndim - 1))
