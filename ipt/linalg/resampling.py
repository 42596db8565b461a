"""Pictures of half the sides, and back."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def halved(images: Tensor) -> Tensor:
    """Images (B, C, H, W) of half the sides, rounded up: means over 2x2 pixels; at an odd end, over what is there."""
    return F.avg_pool2d(images, 2, ceil_mode=True, count_include_pad=False)


def doubled(images: Tensor, sides: tuple[int, int]) -> Tensor:
    """Images of twice the sides, cut to (height, width), each pixel where `halved` had it; bicubic, within 0..1."""
    large = F.interpolate(images, scale_factor=2, mode="bicubic", align_corners=False)
    return large[..., : sides[0], : sides[1]].clamp(0, 1)
