"""The ADM U-Net of guided diffusion, with the parameter names that its published checkpoints use.

It predicts the noise of a variance-preserving process, and, where it has learned the variance of its transitions, that
variance in a second set of channels. `ipt.priors.vp` turns it into a denoiser.

References:
    Dhariwal, Nichol, "Diffusion Models Beat GANs on Image Synthesis" (arXiv 2105.05233), section 3 and appendix.
    Nichol, Dhariwal (arXiv 2102.09672), for the variance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ipt.priors.adm_config import GROUPS, ADMConfig
from ipt.priors.unet import zeroed


class ADMUNet(nn.Module):
    """F(image, timestep): image (B, C, H, W), timestep (B,), which may be fractional; returns (B, C or 2 C, H, W).

    Args:
        config: configuration of the network.
    """

    def __init__(self, config: ADMConfig):
        super().__init__()
        self.config = config
        widths = config.widths()
        embedding = 4 * config.width
        self.time_embed = nn.Sequential(nn.Linear(config.width, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        self.input_blocks, skips = _encoder(config)
        deepest = widths[-1]
        self.middle_block = _Stage(
            _ResBlock(deepest, deepest, config), _Attention(deepest, config), _ResBlock(deepest, deepest, config)
        )
        self.output_blocks = _decoder(config, skips)
        outputs = config.channels * (2 if config.learned_variance else 1)
        last = zeroed(nn.Conv2d(widths[0], outputs, 3, padding=1))
        self.out = nn.Sequential(nn.GroupNorm(GROUPS, widths[0]), nn.SiLU(), last)

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


def _encoder(config: ADMConfig) -> tuple[nn.ModuleList, list[int]]:
    """The input blocks, and the number of features that each hands on to the decoder by a skip connection."""
    widths = config.widths()
    current = widths[0]
    blocks = nn.ModuleList([_Stage(nn.Conv2d(config.channels, current, 3, padding=1))])
    skips = [current]
    for level, width in enumerate(widths):
        for _ in range(config.blocks):
            layers: list[nn.Module] = [_ResBlock(current, width, config)]
            current = width
            if level in config.attention:
                layers.append(_Attention(current, config))
            blocks.append(_Stage(*layers))
            skips.append(current)
        if level + 1 < len(widths):
            shrink = _ResBlock(current, current, config, 0.5) if config.updown else _Downsample(current)
            blocks.append(_Stage(shrink))
            skips.append(current)
    return blocks, skips


def _decoder(config: ADMConfig, skips: Sequence[int]) -> nn.ModuleList:
    """The output blocks; skips: features of the encoder's blocks."""
    widths, remaining = config.widths(), list(skips)
    current, blocks = widths[-1], nn.ModuleList()
    for level, width in reversed(list(enumerate(widths))):
        for block in range(config.blocks + 1):
            layers: list[nn.Module] = [_ResBlock(current + remaining.pop(), width, config)]
            current = width
            if level in config.attention:
                layers.append(_Attention(current, config))
            if level and block == config.blocks:
                layers.append(_ResBlock(current, current, config, 2) if config.updown else _Upsample(current))
            blocks.append(_Stage(*layers))
    return blocks


class _Stage(nn.Sequential):
    """Layers in sequence, of which residual blocks also get the noise level's embedding."""

    def forward(self, features: Tensor, embedding: Tensor) -> Tensor:  # type: ignore[override]
        for layer in self:
            features = layer(features, embedding) if isinstance(layer, _ResBlock) else layer(features)
        return features


class _ResBlock(nn.Module):
    """Two convolutions and a skip connection; `resize` (2 or .5) scales the sides before the first convolution."""

    def __init__(self, inputs: int, outputs: int, config: ADMConfig, resize: float = 1):
        super().__init__()
        self.resize, self.scale_shift = resize, config.scale_shift
        norm = nn.GroupNorm(GROUPS, inputs)
        self.in_layers = nn.Sequential(norm, nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1))
        self.emb_layers = nn.Sequential(
            nn.SiLU(), nn.Linear(4 * config.width, 2 * outputs if config.scale_shift else outputs)
        )
        # The identity stands for a dropout layer, which checkpoints count, and which does nothing in inference.
        last = zeroed(nn.Conv2d(outputs, outputs, 3, padding=1))
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
        self.proj_out = zeroed(nn.Conv1d(channels, channels, 1))

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
    """Features with their sides scaled by 1, 2 or .5."""
    if factor == 1:
        return features
    return F.interpolate(features, scale_factor=2, mode="nearest") if factor == 2 else F.avg_pool2d(features, 2)


def _phases(timestep: Tensor, width: int) -> Tensor:
    """The sinusoidal embedding of timesteps, (B, width): cosines, then sines, at frequencies from 1 down to 1e-4."""
    half = width // 2
    place = torch.arange(half, dtype=timestep.dtype, device=timestep.device) / half
    angles = timestep[:, None] * (-math.log(10_000) * place).exp()
    return torch.cat([angles.cos(), angles.sin()], dim=1)
