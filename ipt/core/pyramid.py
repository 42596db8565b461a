"""Coarse to fine: pictures of half the height and width, and back.

A wide blur is a narrow one in a small picture. What was found there is where the search in the larger one begins (the
usual remedy of blind deblurring, as in Fergus et al., "Removing Camera Shake from a Single Photograph", SIGGRAPH 2006).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def halved(pictures: Tensor) -> Tensor:
    """Pictures (B, C, H, W) of half the sides, rounded up: means over 2x2 pixels; at an odd end, over what is there."""
    return F.avg_pool2d(pictures, 2, ceil_mode=True, count_include_pad=False)


def doubled(pictures: Tensor, sides: tuple[int, int]) -> Tensor:
    """Pictures of twice the sides, cut to (height, width), each pixel where `halved` had it; bicubic, within 0..1."""
    large = F.interpolate(pictures, scale_factor=2, mode="bicubic", align_corners=False)
    return large[..., : sides[0], : sides[1]].clamp(0, 1)
