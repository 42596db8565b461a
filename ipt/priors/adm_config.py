"""The configuration of an ADM network, and how it is inferred from a published checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from ipt.core.errors import IptError

GROUPS = 32
"""Number of groups of features in group normalisation."""
_LANDMARKS = (
    "time_embed.0.weight",
    "input_blocks.0.0.weight",
    "input_blocks.1.0.emb_layers.1.weight",
    "middle_block.1.qkv.weight",
    "output_blocks.0.0.in_layers.2.weight",
    "out.2.weight",
)
"""Parameters that every ADM network has."""


@dataclass(frozen=True)
class ADMConfig:
    """What determines the network. All but the heads and the order of attention shows in a checkpoint (`from_state`).

    Attributes:
        channels: channels of the picture.
        width: features at multiplier 1; level i has `width * multipliers[i]`, a multiple of 32.
        multipliers: a multiplier for each level.
        blocks: residual blocks of a level on the way down; there is one more on the way up.
        attention: levels with self-attention, 0 being the finest; the middle always has it.
        learned_variance: whether there are as many output channels again, for the variance.
        updown: whether residual blocks change the resolution, instead of strided convolutions.
        scale_shift: whether the noise level scales and shifts features, instead of being added.
        head_channels: features of an attention head; None: `heads` heads at every level.
        heads: number of heads where head_channels is None.
        attention_order: "legacy" (heads, then query, key and value) or "new" (the other way round).

    Raises:
        IptError: numbers that do not go together.
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
        if any(width < GROUPS or width % GROUPS for width in widths):
            raise IptError(f"an ADM network has {GROUPS}, {2 * GROUPS}, ... features at every level, not {widths}")
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
        """The picture's side for which guided diffusion uses these multipliers; None: it does not use them."""
        sides = {(0.5, 1, 1, 2, 2, 4, 4): 512, (1, 1, 2, 2, 4, 4): 256, (1, 1, 2, 3, 4): 128, (1, 2, 3, 4): 64}
        return sides.get(tuple(self.multipliers))

    def to_dict(self) -> dict[str, Any]:
        """The configuration as JSON types."""
        return {**asdict(self), "multipliers": list(self.multipliers), "attention": list(self.attention)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ADMConfig:
        """The configuration from its `to_dict`."""
        return cls(**{**values, "multipliers": tuple(values["multipliers"]), "attention": tuple(values["attention"])})

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], head_channels: int = 64) -> ADMConfig:
        """The configuration of a checkpoint, inferred from the names and shapes of its parameters.

        Args:
            state: parameters by name.
            head_channels: features of an attention head, which do not show in the parameters.

        Raises:
            IptError: these are no parameters of an ADM network.
        """
        _check_unconditional(state)
        indices = {int(name.split(".")[1]) for name in state if name.startswith("output_blocks.")}
        # The last block of each level but the finest doubles the sides, by a convolution or a residual block.
        convolved = [i for i in indices if any(f"output_blocks.{i}.{j}.conv.weight" in state for j in (1, 2))]
        blocked = [i for i in indices if any(f"output_blocks.{i}.{j}.in_layers.2.weight" in state for j in (1, 2))]
        levels = len(convolved) + len(blocked) + 1
        if len(indices) % levels or len(indices) < 2 * levels:
            raise IptError(f"not an ADM network: {len(indices)} output blocks do not divide into {levels} levels")
        period = len(indices) // levels
        width = state["time_embed.0.weight"].shape[1]
        # The first input block of each level, after the stem.
        firsts = [1 + level * period for level in range(levels)]
        try:
            features = [state[f"input_blocks.{first}.0.out_layers.3.weight"].shape[0] for first in firsts]
        except KeyError as error:
            raise IptError(f"not an ADM network of {levels} levels of {period - 1} blocks: it has no {error}") from None
        channels = state["input_blocks.0.0.weight"].shape[1]
        outputs = state["out.2.weight"].shape[0]
        if outputs not in (channels, 2 * channels):
            raise IptError(f"ADM networks put out {channels} or {2 * channels} channels for {channels}, not {outputs}")
        attention = [level for level, first in enumerate(firsts) if f"input_blocks.{first}.1.qkv.weight" in state]
        return cls(
            channels=channels,
            width=width,
            multipliers=tuple(_whole(value / width) for value in features),
            blocks=period - 1,
            attention=tuple(attention),
            learned_variance=outputs == 2 * channels,
            updown=not convolved,
            scale_shift=state["input_blocks.1.0.emb_layers.1.weight"].shape[0] == 2 * features[0],
            head_channels=head_channels,
        )


def _check_unconditional(state: Mapping[str, Tensor]) -> None:
    """IptError where these are not the parameters of an unconditional ADM network."""
    missing = [name for name in _LANDMARKS if name not in state]
    if missing:
        raise IptError(
            f"not an ADM (guided-diffusion) network: it has no {', '.join(missing[:3])}; its first keys are "
            f"{', '.join(list(state)[:3])}"
        )
    if "label_emb.weight" in state:
        raise IptError("this network wants a class label (label_emb.weight): give an unconditional one")


def _whole(value: float) -> float:
    """A whole number as an int."""
    return int(value) if value == int(value) else value
