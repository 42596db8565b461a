"""Noise as options name it: a standard deviation, Poisson noise, or a file with a map of standard deviations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ipt.core.errors import Misuse

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Poisson:
    """Poisson noise of scaled counts, with white read noise: variance = signal / peak + read^2.

    Attributes:
        peak: counts where the signal is 1; None: peak and read are estimated from the measurement.
        read: standard deviation of the read noise, in units of the signal.
    """

    peak: float | None = None
    read: float = 0.0

    @property
    def gain(self) -> float:
        """Variance per unit of the signal; 0 if the peak is to be estimated."""
        return 1 / self.peak if self.peak else 0.0

    def __str__(self) -> str:
        if self.peak is None:
            return "poisson"
        return f"poisson:{self.peak!r}" if not self.read else f"poisson:peak={self.peak!r},read={self.read!r}"


NoiseOption: TypeAlias = float | Poisson | Path | None
"""The option: a standard deviation, Poisson noise or the file of a map; None: "auto"."""
Noise: TypeAlias = "float | Poisson | Tensor | None"
"""The option with the map read, standard deviations (1 or C, H, W)."""


def plain(noise: NoiseOption, otherwise: str = "auto") -> float | str:
    """The option as it is typed and written to YAML; otherwise: the text for None."""
    return otherwise if noise is None else noise if isinstance(noise, float | int) else str(noise)


def check_level(noise: NoiseOption, pictures: bool) -> None:
    """Raise Misuse for a standard deviation above 1 if pictures in 0..1 are measured (`pictures`)."""
    if pictures and isinstance(noise, float | int) and noise > 1:
        raise Misuse(
            f"noise= is a standard deviation above 0 of pictures in 0..1, so at most 1, not {noise:g}; divide it by "
            f"255 if it is of 8-bit values"
        )


def largest(noise: float | Poisson | Tensor) -> float:
    """The largest standard deviation: that of a signal of 1, or of a map the maximum."""
    if isinstance(noise, Poisson):
        return math.hypot(noise.read, math.sqrt(noise.gain))
    return float(noise) if isinstance(noise, float | int) else float(noise.max())
