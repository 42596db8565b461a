"""The small U-Net that `ipt train` trains and the package ships.

A convolutional encoder and decoder with skip connections, modulated by the noise level. It is built for speed on modest
hardware: pixels are folded into channels first (`patch`), so that no convolution runs at full resolution, and only the
coarsest level has attention. It is the raw network F of the EDM preconditioning; `ipt.priors.edm` turns it into a
denoiser.

References:
    Ho, Jain, Abbeel, "Denoising Diffusion Probabilistic Models" (arXiv 2006.11239), for the layout.
    Dhariwal, Nichol, "Diffusion Models Beat GANs on Image Synthesis" (arXiv 2105.05233), for scale-shift normalisation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ipt.core.errors import IptError

NORMS = ("group", "pixel")
Layer = TypeVar("Layer", bound=nn.Module)


@dataclass(frozen=True)
class UNetConfig:
    """What determines the network's parameters.

    Attributes:
        channels: channels of the picture (3 in colour, 1 of a kernel).
        width: features at the first level; level i has `width * multipliers[i]`.
        multipliers: a multiplier for each level.
        blocks: residual blocks of a level on the way down; there is one more on the way up.
        patch: side of the square of pixels that are folded into channels before the first level.
        attention: whether the coarsest level has self-attention.
        norm: "group", over groups of features and the whole picture, or "pixel", over the features of each pixel. With
            "pixel" and without attention, the output at a pixel depends on its surroundings alone.

    Raises:
        IptError: another kind of normalisation.
    """

    channels: int
    width: int = 64
    multipliers: tuple[int, ...] = (1, 2, 4)
    blocks: int = 1
    patch: int = 2
    attention: bool = True
    norm: str = "group"

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise IptError(f"network.norm is {' or '.join(NORMS)}, not {self.norm!r}")

    @property
    def multiple(self) -> int:
        """Heights and widths must be multiples of this many pixels."""
        return self.patch << len(self.multipliers) - 1

    @property
    def local(self) -> bool:
        """Whether the output at a pixel depends on its surroundings alone."""
        return self.norm == "pixel" and not self.attention

    def to_dict(self) -> dict[str, Any]:
        """The configuration as JSON types."""
        return {**asdict(self), "multipliers": list(self.multipliers)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> UNetConfig:
        """The configuration from its `to_dict`."""
        return cls(**{**values, "multipliers": tuple(values["multipliers"])})


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions; the noise level scales and shifts the features between them."""

    def __init__(self, inputs: int, outputs: int, embedding: int, norm: str = "group"):
        super().__init__()
        self.norm1 = _norm(norm, inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.modulation = nn.Linear(embedding, 2 * outputs)
        self.norm2 = _norm(norm, outputs)
        self.conv2 = zeroed(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, features: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = self.modulation(embedding)[:, :, None, None].chunk(2, dim=1)
        hidden = self.conv1(F.silu(self.norm1(features)))
        hidden = self.norm2(hidden) * (1 + scale) + shift
        found: Tensor = self.skip(features) + self.conv2(F.silu(hidden))
        return found


class PixelNorm(nn.Module):
    """Layer normalisation of each pixel's features over the channels, with a scale and a shift for each channel.

    References:
        Ba, Kiros, Hinton, "Layer Normalization" (arXiv 1607.06450).
    """

    def __init__(self, channels: int):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, features: Tensor) -> Tensor:
        last = features.permute(0, 2, 3, 1)
        normal: Tensor = F.layer_norm(last, self.weight.shape, self.weight, self.bias)
        return normal.permute(0, 3, 1, 2)


class SelfAttention(nn.Module):
    """Multi-head self-attention over the pixels of one level."""

    def __init__(self, channels: int, head: int = 64):
        super().__init__()
        self.heads = max(1, channels // head)
        self.norm = nn.GroupNorm(_groups(channels), channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = zeroed(nn.Conv2d(channels, channels, 1))

    def forward(self, features: Tensor) -> Tensor:
        batch, channels, height, width = features.shape
        qkv = self.qkv(self.norm(features)).reshape(batch, 3, self.heads, channels // self.heads, height * width)
        query, key, value = qkv.transpose(-1, -2).unbind(1)
        mixed = F.scaled_dot_product_attention(query, key, value)
        change: Tensor = self.out(mixed.transpose(-1, -2).reshape(batch, channels, height, width))
        return features + change


class UNet(nn.Module):
    """F(image, label): image (B, C, H, W), label (B,) a function of the noise level; returns (B, C, H, W).

    Args:
        config: configuration of the network.
        beside: number of conditioning channels, which follow those of the picture in `image` and are not returned.
    """

    frequencies: Tensor

    def __init__(self, config: UNetConfig, beside: int = 0):
        super().__init__()
        self.config = config
        widths = [config.width * m for m in config.multipliers]
        folded = config.channels * config.patch**2
        embedding = 4 * config.width
        self.register_buffer("frequencies", math.pi * 2.0 ** torch.linspace(-2, 4, 16), persistent=False)
        self.embed = nn.Sequential(nn.Linear(32, embedding), nn.SiLU(), nn.Linear(embedding, embedding), nn.SiLU())
        self.stem = nn.Conv2d(folded + beside * config.patch**2, widths[0], 3, padding=1)

        self.down = nn.ModuleList()
        skips, current = [widths[0]], widths[0]
        for level, width in enumerate(widths):
            if level:
                self.down.append(nn.Conv2d(current, width, 3, stride=2, padding=1))
                current = width
                skips.append(width)
            for _ in range(config.blocks):
                self.down.append(ResidualBlock(current, width, embedding, config.norm))
                current = width
                skips.append(width)
        self.middle = ResidualBlock(current, current, embedding, config.norm)
        self.attention = SelfAttention(current) if config.attention else nn.Identity()

        self.up = nn.ModuleList()
        for level, width in reversed(list(enumerate(widths))):
            for _ in range(config.blocks + 1):
                self.up.append(ResidualBlock(current + skips.pop(), width, embedding, config.norm))
                current = width
            if level:
                self.up.append(nn.Conv2d(current, widths[level - 1], 3, padding=1))
                current = widths[level - 1]
        # Normalisation of each pixel would remove the contrast between pixels, of which the output is made.
        self.norm = nn.Identity() if config.norm == "pixel" else _norm(config.norm, current)
        self.out = zeroed(nn.Conv2d(current, folded, 3, padding=1))

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        phase = label[:, None] * self.frequencies
        embedding = self.embed(torch.cat([phase.cos(), phase.sin()], dim=1))
        features = self.stem(F.pixel_unshuffle(image, self.config.patch))
        skips = [features]
        for layer in self.down:
            features = layer(features, embedding) if isinstance(layer, ResidualBlock) else layer(features)
            skips.append(features)
        features = self.attention(self.middle(features, embedding))
        for layer in self.up:
            if isinstance(layer, ResidualBlock):
                features = layer(torch.cat([features, skips.pop()], dim=1), embedding)
            else:
                features = layer(F.interpolate(features, scale_factor=2, mode="nearest"))
        return F.pixel_shuffle(self.out(F.silu(self.norm(features))), self.config.patch)


def _norm(kind: str, channels: int) -> nn.Module:
    return PixelNorm(channels) if kind == "pixel" else nn.GroupNorm(_groups(channels), channels)


def _groups(channels: int) -> int:
    """Number of groups for group normalisation: about 16 features each."""
    return math.gcd(channels, max(1, channels // 16))


def zeroed(layer: Layer) -> Layer:
    """The layer with all parameters 0, in place, so that a residual block that ends with it starts as the identity."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
