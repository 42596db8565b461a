"""Norms of each image of a batch."""

from __future__ import annotations

from torch import Tensor


def norm(tensor: Tensor) -> Tensor:
    """Euclidean norm of each image, (B,)."""
    found: Tensor = tensor.flatten(1).norm(dim=1)
    return found


def rms(tensor: Tensor) -> Tensor:
    """Root mean square of each image, (B,)."""
    return tensor.flatten(1).square().mean(1).sqrt()
