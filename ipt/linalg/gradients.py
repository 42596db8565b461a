"""Gradients of pictures."""

from __future__ import annotations

import torch
from torch import Tensor


def squared_gradient(pictures: Tensor) -> Tensor:
    """Squared length of the gradient of each channel, (..., H, W), by central differences."""
    return torch.stack(torch.gradient(pictures, dim=(-2, -1))).square().sum(0)
