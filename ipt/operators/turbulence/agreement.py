"""How far exposures of one scene agree: one that is worse than the others, and what moves within it.

What an exposure shows otherwise than the scene is expected to be noise, an edge that registration has left out of its
place, and what most exposures do not show as the scene has it. More than that on the half of its edges: the exposure is
worse than the others (defocused, moved, blown out), and the excess counts as its noise. Far more than that at a place:
something is there that is not in the scene.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_RADIUS = 3
"""Of the squares over which squared differences are averaged, in pixels."""
_FEWEST = 4
"""Exposures, below which none can be called worse than the others."""
_WORSE = 1.5
"""Times as much squared difference as is expected, from which on an exposure is worse."""
_OTHER = 16.0
"""Likewise, from which on a place of an exposure, or all of it, does not show the scene."""
_BESIDE = 4.0
"""Likewise, of what is near such a place."""


def agreement(exposures: Tensor, predicted: Tensor, noise: float, seen: Tensor) -> Tensor:
    """How much pixels of exposures count, (F, 1, H, W): 0 where they do not show the scene, else at most 1.

    That is the noise over the standard deviation with which the exposure shows the scene.

    Args:
        exposures: (F, C, H, W) in 0..1.
        predicted: what the scene, as most of them show it, would look like in each.
        noise: its standard deviation.
        seen: 1 where there is something to compare, (F, 1, H, W).
    """
    if len(exposures) < _FEWEST:
        return torch.ones_like(seen)
    share = _mean(seen).clamp(min=1e-6)
    rest = _mean(seen * (exposures - predicted).square().mean(1, keepdim=True)) / share
    slope = torch.stack(torch.gradient(predicted, dim=(-2, -1))).square().sum(0).mean(1, keepdim=True)
    slope, variance = _mean(slope), noise**2
    # How far edges are out of their place in a usual exposure, in pixels, squared.
    away = (rest - variance).clamp(min=0).flatten(1).sum(1).median() / slope.flatten(1).sum(1).median().clamp(min=1e-12)
    expected = (variance + away * slope + rest.median(0, keepdim=True).values) / 2
    ratio = rest / expected
    level = _weighted_median(ratio.flatten(1), (seen * expected).flatten(1))
    level = (level / level.median()).reshape(-1, 1, 1, 1)
    worse = torch.where(level > _WORSE, level, 1)
    ratio = seen * ratio / worse
    other = _widened((ratio > _OTHER).float(), 3 * _RADIUS) * (ratio > _BESIDE)
    other = _widened(other, _RADIUS)
    trusted = (1 - other) * (level < _OTHER)
    excess = (trusted * (rest - expected)).flatten(1).sum(1) / trusted.flatten(1).sum(1).clamp(min=1)
    excess = torch.where(worse > 1, excess.clamp(min=0).reshape(-1, 1, 1, 1), 0)
    return trusted * (variance / (variance + excess)).sqrt()


def _mean(values: Tensor) -> Tensor:
    padded = F.pad(values, (_RADIUS,) * 4, mode="replicate")
    return F.avg_pool2d(padded, 2 * _RADIUS + 1, 1)


def _widened(places: Tensor, radius: int) -> Tensor:
    return F.max_pool2d(places, 2 * radius + 1, 1, radius)


def _weighted_median(values: Tensor, weights: Tensor) -> Tensor:
    """Of every row: half of its weight has a smaller value."""
    ordered, order = values.sort(1)
    passed = weights.gather(1, order).cumsum(1)
    place = (passed >= passed[:, -1:] / 2).float().argmax(1, keepdim=True)
    return ordered.gather(1, place)[:, 0]
