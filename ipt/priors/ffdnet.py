"""FFDNet: a plain convolutional denoiser of pictures that is given the noise level, good where there is little noise.

The picture is taken apart into four of half the sides, a constant map of the noise level beside them goes through a
chain of 3x3 convolutions, and what comes out is put together again.

References:
    Zhang, Zuo, Zhang, "FFDNet: Toward a Fast and Flexible Solution for CNN-Based Image Denoising", IEEE Transactions on
    Image Processing 27, 2018, arXiv 1710.04026.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ipt.core.errors import IptError


@dataclass(frozen=True)
class FFDNetConfig:
    """What determines the network.

    Args:
        channels: Of the picture.
        width: Features of a layer.
        layers: Convolutions, the first and the last included; at least 2.
    """

    channels: int = 3
    width: int = 96
    layers: int = 12

    def __post_init__(self) -> None:
        if min(self.channels, self.width) < 1 or self.layers < 2:
            raise IptError(f"an FFDNet has channels and width from 1 up and 2 layers or more, not {self}")

    @property
    def multiple(self) -> int:
        """Pixels: heights and widths are multiples of this."""
        return 2

    def to_dict(self) -> dict[str, int]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> FFDNetConfig:
        return cls(**{name: int(value) for name, value in values.items()})


class FFDNet(nn.Module):
    """The network and, as it is trained to remove noise of a given level, the denoiser.

    `forward(noisy, sigma)`: noisy (B, C, H, W) in normalised units, a picture in 0..1 being 0.5 + 0.5 * noisy; sigma
    (B,) in the same units, at most about 0.6 (75 of 255). Returns the clean picture, (B, C, H, W).
    """

    def __init__(self, config: FFDNetConfig):
        super().__init__()
        self.config = config
        widths = [4 * config.channels + 1, *[config.width] * (config.layers - 1), 4 * config.channels]
        self.layers = nn.ModuleList(nn.Conv2d(before, after, 3, padding=1) for before, after in pairwise(widths))

    def forward(self, noisy: Tensor, sigma: Tensor) -> Tensor:
        features = F.pixel_unshuffle(0.5 + 0.5 * noisy, 2)
        level = (0.5 * sigma.to(noisy.dtype)).reshape(-1, 1, 1, 1).expand(len(noisy), 1, *features.shape[-2:])
        features = torch.cat([features, level], dim=1)
        *hidden, last = self.layers
        for layer in hidden:
            features = layer(features).relu()
        return 2 * F.pixel_shuffle(last(features).to(noisy.dtype), 2) - 1
