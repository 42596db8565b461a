"""Images at half and at twice their sides."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def halved(images: Tensor) -> Tensor:
    """Images (B, C, H, W) at half their sides, rounded up: means over 2x2 pixels, at odd ends over fewer."""
    return F.avg_pool2d(images, 2, ceil_mode=True, count_include_pad=False)


def doubled(images: Tensor, sides: tuple[int, int]) -> Tensor:
    """Images (B, C, H, W) at twice their sides by bicubic interpolation, clipped to 0..1; aligned as in `halved`.

    Args:
        images: (B, C, H, W).
        sides: (height, width) to which the result is cut.
    """
    large = F.interpolate(images, scale_factor=2, mode="bicubic", align_corners=False)
    return large[..., : sides[0], : sides[1]].clamp(0, 1)
