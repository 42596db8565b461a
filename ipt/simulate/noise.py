"""Noise of simulated measurements, drawn from a seed."""

from __future__ import annotations

import torch
from torch import Tensor

from ipt.core.errors import IptError, Misuse
from ipt.images.noise import Poisson
from ipt.linalg.random import Noise, stream


def noisy(values: Tensor, noise: float | Poisson | Tensor, seed: int) -> Tensor:
    """Add noise to values.

    Args:
        values: Values without noise, (1, C, H, W).
        noise: Standard deviation of white noise; a map of standard deviations, (1 or C, H, W); or Poisson noise.
        seed: Seed of the noise.

    Raises:
        IptError: Poisson noise without a peak or of values below 0, or a map of another size.
    """
    level: float | Tensor
    if isinstance(noise, Poisson):
        if not noise.peak:
            raise Misuse("say how many counts there are at a signal of 1, as in noise=poisson:1000")
        if bool((values < 0).any()):
            raise IptError("Poisson noise is of counts, and the measurement has values below 0; give a noise level")
        level, generator = noise.read, stream(seed, "counts")
        values = torch.poisson((noise.peak * values).double(), generator).to(values) / noise.peak
    else:
        level = noise
    if isinstance(level, Tensor):
        if level.ndim != 3 or len(level) not in (1, values.shape[1]) or level.shape[1:] != values.shape[2:]:
            raise IptError(
                f"the map of noise levels is of shape {tuple(level.shape)}, and the measurement "
                f"{tuple(values.shape[1:])}; give a level for each of its entries, in one channel or in all"
            )
    elif not level:
        return values
    return values + level * Noise([seed]).like("measurement", values)
