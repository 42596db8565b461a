"""The ADM U-Net of guided diffusion, with the parameter names that its published checkpoints use.

It predicts the noise of a variance-preserving process, and where it learns the variance of its transitions, a second
set of channels for that; `ipt.priors.vp` turns it into a denoiser.

References:
    Dhariwal, Nichol, "Diffusion Models Beat GANs on Image Synthesis" (arXiv 2105.05233), section 3 and appendix.
    Nichol, Dhariwal (arXiv 2102.09672), for the variance.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ipt.priors.adm_config import GROUPS, ADMConfig


class ADMUNet(nn.Module):
    """F(image, timestep): image (B, C, H, W), timestep (B,), may be fractional; returns (B, C or 2 C, H, W)."""

    def __init__(self, config: ADMConfig):
        super().__init__()
        self.config = config
        widths = config.widths()
        embedding = 4 * config.width
        self.time_embed = nn.Sequential(nn.Linear(config.width, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        current = widths[0]
        self.input_blocks = nn.ModuleList([_Stage(nn.Conv2d(config.channels, current, 3, padding=1))])
        skips = [current]
        for level, width in enumerate(widths):
            for _ in range(config.blocks):
                layers: list[nn.Module] = [_ResBlock(current, width, config)]
                current = width
                if level in config.attention:
                    layers.append(_Attention(current, config))
                self.input_blocks.append(_Stage(*layers))
                skips.append(current)
            if level + 1 < len(widths):
                shrink = _ResBlock(current, current, config, 0.5) if config.updown else _Downsample(current)
                self.input_blocks.append(_Stage(shrink))
                skips.append(current)
        self.middle_block = _Stage(
            _ResBlock(current, current, config), _Attention(current, config), _ResBlock(current, current, config)
        )
        self.output_blocks = nn.ModuleList()
        for level, width in reversed(list(enumerate(widths))):
            for block in range(config.blocks + 1):
                layers = [_ResBlock(current + skips.pop(), width, config)]
                current = width
                if level in config.attention:
                    layers.append(_Attention(current, config))
                if level and block == config.blocks:
                    layers.append(_ResBlock(current, current, config, 2) if config.updown else _Upsample(current))
                self.output_blocks.append(_Stage(*layers))
        outputs = config.channels * (2 if config.learned_variance else 1)
        self.out = nn.Sequential(
            nn.GroupNorm(GROUPS, current), nn.SiLU(), _zeroed(nn.Conv2d(current, outputs, 3, padding=1))
        )

    def forward(self, image: Tensor, timestep: Tensor) -> Tensor:
        phases = _phases(timestep, self.config.width).to(image.dtype)
        embedding = self.time_embed(phases)
        features, skips = image, []
        for stage in self.input_blocks:
            features = stage(features, embedding)
            skips.append(features)
        features = self.middle_block(features, embedding)
        for stage in self.output_blocks:
            features = stage(torch.cat([features, skips.pop()], dim=1), embedding)
        found: Tensor = self.out(features)
        return found


class _Stage(nn.Sequential):
    """Layers in a row, of which the residual blocks get the noise level."""

    def forward(self, features: Tensor, embedding: Tensor) -> Tensor:  # type: ignore[override]
        for layer in self:
            features = layer(features, embedding) if isinstance(layer, _ResBlock) else layer(features)
        return features


class _ResBlock(nn.Module):
    """Two convolutions and a skip; `resize` 2 or .5 changes the resolution between the first norm and convolution."""

    def __init__(self, inputs: int, outputs: int, config: ADMConfig, resize: float = 1):
        super().__init__()
        self.resize, self.scale_shift = resize, config.scale_shift
        norm = nn.GroupNorm(GROUPS, inputs)
        self.in_layers = nn.Sequential(norm, nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1))
        self.emb_layers = nn.Sequential(
            nn.SiLU(), nn.Linear(4 * config.width, 2 * outputs if config.scale_shift else outputs)
        )
        # The third layer is where checkpoints count a dropout, which has no parameters and is idle in inference.
        last = _zeroed(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.out_layers = nn.Sequential(nn.GroupNorm(GROUPS, outputs), nn.SiLU(), nn.Identity(), last)
        self.skip_connection = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, features: Tensor, embedding: Tensor) -> Tensor:
        norm, activation, convolution = self.in_layers
        hidden = convolution(_resized(activation(norm(features)), self.resize))
        label = self.emb_layers(embedding)[:, :, None, None]
        if self.scale_shift:
            scale, shift = label.chunk(2, dim=1)
            hidden = self.out_layers[1:](self.out_layers[0](hidden) * (1 + scale) + shift)
        else:
            hidden = self.out_layers(hidden + label)
        found: Tensor = self.skip_connection(_resized(features, self.resize)) + hidden
        return found


class _Attention(nn.Module):
    """Multi-head self-attention over the pixels of a level."""

    def __init__(self, channels: int, config: ADMConfig):
        super().__init__()
        self.heads = channels // config.head_channels if config.head_channels else config.heads
        self.legacy = config.attention_order == "legacy"
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = _zeroed(nn.Conv1d(channels, channels, 1))

    def forward(self, features: Tensor) -> Tensor:
        batch, channels, *size = features.shape
        flat = features.reshape(batch, channels, -1)
        each = channels // self.heads
        order = (self.heads, 3, each) if self.legacy else (3, self.heads, each)
        qkv = self.qkv(self.norm(flat)).reshape(batch, *order, -1).transpose(-1, -2)
        mixed = F.scaled_dot_product_attention(*qkv.unbind(2 if self.legacy else 1))
        out: Tensor = self.proj_out(mixed.transpose(-1, -2).reshape(batch, channels, -1))
        return (flat + out).reshape(batch, channels, *size)


class _Downsample(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        found: Tensor = self.op(features)
        return found


class _Upsample(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        found: Tensor = self.conv(_resized(features, 2))
        return found


def _resized(features: Tensor, factor: float) -> Tensor:
    if factor == 1:
        return features
    return F.interpolate(features, scale_factor=2, mode="nearest") if factor == 2 else F.avg_pool2d(features, 2)


def _phases(timestep: Tensor, width: int) -> Tensor:
    """Cosines, then sines, of the timestep at `width` / 2 frequencies from 1 down to (nearly) 1e-4, (B, width)."""
    half = width // 2
    place = torch.arange(half, dtype=timestep.dtype, device=timestep.device) / half
    angles = timestep[:, None] * (-math.log(10_000) * place).exp()
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def _zeroed(layer: nn.Conv1d | nn.Conv2d) -> nn.Conv1d | nn.Conv2d:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
