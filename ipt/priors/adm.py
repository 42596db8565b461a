"""The ADM U-Net of guided diffusion, with the parameter names that its published checkpoints use.

It predicts the noise of a variance-preserving process, and where it learns the variance of its transitions, a second
set of channels for that; `ipt.priors.vp` turns it into a denoiser.

References:
    Dhariwal, Nichol, "Diffusion Models Beat GANs on Image Synthesis" (arXiv 2105.05233), section 3 and appendix.
    Nichol, Dhariwal (arXiv 2102.09672), for the variance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ipt.core.errors import IptError

_GROUPS = 32


@dataclass(frozen=True)
class ADMConfig:
    """What determines the network; all but heads and the attention's order can be read off a checkpoint (`from_state`).

    Attributes:
        channels: of the picture.
        width: features at multiplier 1; level i has `width * multipliers[i]`.
        multipliers: one a level.
        blocks: residual blocks a level on the way down (one more on the way up).
        attention: levels with self-attention, 0 the finest; the middle always has it.
        learned_variance: as many output channels again.
        updown: residual blocks change the resolution, not strided convolutions.
        scale_shift: the noise level scales and shifts features instead of being added.
        head_channels: features a head; None: `heads` heads at every level.
        heads: where head_channels is None.
        attention_order: "legacy" (heads, then query/key/value) or "new".
    """

    channels: int
    width: int = 128
    multipliers: tuple[float, ...] = (1, 1, 2, 2, 4, 4)
    blocks: int = 1
    attention: tuple[int, ...] = (4,)
    learned_variance: bool = True
    updown: bool = True
    scale_shift: bool = True
    head_channels: int | None = 64
    heads: int = 4
    attention_order: str = "legacy"

    def __post_init__(self) -> None:
        widths = self.widths()
        if any(width < _GROUPS or width % _GROUPS for width in widths):
            raise IptError(f"an ADM network has {_GROUPS}, {2 * _GROUPS}, ... features at every level, not {widths}")
        if self.attention_order not in ("legacy", "new"):
            raise IptError(f"attention_order is legacy or new, not {self.attention_order!r}")
        for level in {*self.attention, len(widths) - 1}:
            if not 0 <= level < len(widths):
                raise IptError(f"attention at level {level}: the network has levels 0 to {len(widths) - 1}")
            if widths[level] % (self.head_channels or self.heads):
                split = f"heads of {self.head_channels} channels" if self.head_channels else f"{self.heads} heads"
                raise IptError(f"{widths[level]} features do not divide into {split}: give prior.head_channels")

    def widths(self) -> list[int]:
        """Features of each level."""
        return [int(self.width * m) for m in self.multipliers]

    @property
    def multiple(self) -> int:
        """Heights and widths must be multiples of this many pixels."""
        return 1 << len(self.multipliers) - 1

    @property
    def usual_size(self) -> int | None:
        """The side that guided diffusion trains networks of these multipliers at; None: none of its own."""
        sides = {(0.5, 1, 1, 2, 2, 4, 4): 512, (1, 1, 2, 2, 4, 4): 256, (1, 1, 2, 3, 4): 128, (1, 2, 3, 4): 64}
        return sides.get(tuple(self.multipliers))

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**asdict(self), "multipliers": list(self.multipliers), "attention": list(self.attention)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ADMConfig:
        """From `to_dict`."""
        return cls(**{**values, "multipliers": tuple(values["multipliers"]), "attention": tuple(values["attention"])})

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], head_channels: int = 64) -> ADMConfig:
        """The configuration of a checkpoint, read off the names and shapes of its parameters.

        Args:
            state: parameters by name.
            head_channels: heads leave no trace there.

        Raises:
            IptError: these are no ADM parameters.
        """
        missing = [name for name in _LANDMARKS if name not in state]
        if missing:
            raise IptError(
                f"not an ADM (guided-diffusion) network: it has no {', '.join(missing[:3])}; its first keys are "
                f"{', '.join(list(state)[:3])}"
            )
        if "label_emb.weight" in state:
            raise IptError("this network wants a class label (label_emb.weight): give an unconditional one")
        indices = {int(name.split(".")[1]) for name in state if name.startswith("output_blocks.")}
        convolved = [i for i in indices if any(f"output_blocks.{i}.{j}.conv.weight" in state for j in (1, 2))]
        blocked = [i for i in indices if any(f"output_blocks.{i}.{j}.in_layers.2.weight" in state for j in (1, 2))]
        levels = len(convolved) + len(blocked) + 1
        if len(indices) % levels or len(indices) < 2 * levels:
            raise IptError(f"not an ADM network: {len(indices)} output blocks do not divide into {levels} levels")
        period = len(indices) // levels
        width = state["time_embed.0.weight"].shape[1]
        firsts = [1 + level * period for level in range(levels)]
        try:
            features = [state[f"input_blocks.{first}.0.out_layers.3.weight"].shape[0] for first in firsts]
        except KeyError as error:
            raise IptError(f"not an ADM network of {levels} levels of {period - 1} blocks: it has no {error}") from None
        channels = state["input_blocks.0.0.weight"].shape[1]
        outputs = state["out.2.weight"].shape[0]
        if outputs not in (channels, 2 * channels):
            raise IptError(f"ADM networks put out {channels} or {2 * channels} channels for {channels}, not {outputs}")
        return cls(
            channels=channels,
            width=width,
            multipliers=tuple(_plain(value / width) for value in features),
            blocks=period - 1,
            attention=tuple(
                level for level, first in enumerate(firsts) if f"input_blocks.{first}.1.qkv.weight" in state
            ),
            learned_variance=outputs == 2 * channels,
            updown=not convolved,
            scale_shift=state["input_blocks.1.0.emb_layers.1.weight"].shape[0] == 2 * features[0],
            head_channels=head_channels,
        )


_LANDMARKS = (
    "time_embed.0.weight",
    "input_blocks.0.0.weight",
    "input_blocks.1.0.emb_layers.1.weight",
    "middle_block.1.qkv.weight",
    "output_blocks.0.0.in_layers.2.weight",
    "out.2.weight",
)


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
            nn.GroupNorm(_GROUPS, current), nn.SiLU(), _zeroed(nn.Conv2d(current, outputs, 3, padding=1))
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
        norm = nn.GroupNorm(_GROUPS, inputs)
        self.in_layers = nn.Sequential(norm, nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1))
        self.emb_layers = nn.Sequential(
            nn.SiLU(), nn.Linear(4 * config.width, 2 * outputs if config.scale_shift else outputs)
        )
        # The third layer is where checkpoints count a dropout, which has no parameters and is idle in inference.
        last = _zeroed(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.out_layers = nn.Sequential(nn.GroupNorm(_GROUPS, outputs), nn.SiLU(), nn.Identity(), last)
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
        self.norm = nn.GroupNorm(_GROUPS, channels)
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


def _plain(value: float) -> float:
    return int(value) if value == int(value) else value


def _zeroed(layer: nn.Conv1d | nn.Conv2d) -> nn.Conv1d | nn.Conv2d:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
