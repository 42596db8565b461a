"""Which exposures of one scene are worse than the others, and where in them something moves.

Each exposure is compared with the scene that all of them show, as registration found it. The squared difference that is
expected at a pixel has three parts: noise, edges that registration has left out of place, and the median difference
over all exposures. An exposure with more than that on half of its edges is worse than the others (defocused, blurred
by motion, overexposed), and the excess counts as its noise. A place with far more than that shows something that is not
in the scene, and does not count.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.linalg.gradients import squared_gradient

_RADIUS = 3
"""Radius in pixels of the squares over which squared differences are averaged."""
_FEWEST = 4
"""Number of exposures below which they are not compared."""
_WORSE = 1.5
"""Ratio of the squared difference to the expected one above which an exposure is worse."""
_OTHER = 16.0
"""The ratio above which a place of an exposure, or all of it, does not show the scene."""
_BESIDE = 4.0
"""The same ratio for the neighbourhood of such a place."""


def agreement(exposures: Tensor, predicted: Tensor, noise: float, seen: Tensor) -> Tensor:
    """The weight of each pixel of exposures, (F, 1, H, W), 0..1.

    It is 0 where a pixel does not show the scene. Elsewhere it is the noise level over the standard deviation of the
    difference between exposure and scene.

    Args:
        exposures: (F, C, H, W) in 0..1.
        predicted: the scene warped to each exposure, (F, C, H, W).
        noise: standard deviation of the exposures' noise, in units of 0..1.
        seen: 1 where both were measured, else 0, (F, 1, H, W).
    """
    if len(exposures) < _FEWEST:
        return torch.ones_like(seen)
    share = _mean(seen).clamp(min=1e-6)
    rest = _mean(seen * (exposures - predicted).square().mean(1, keepdim=True)) / share
    slope, variance = _mean(squared_gradient(predicted).mean(1, keepdim=True)), noise**2
    # Squared distance in pixels by which edges are out of place in the median exposure.
    unexplained = (rest - variance).clamp(min=0).flatten(1).sum(1).median()
    displacement = unexplained / slope.flatten(1).sum(1).median().clamp(min=1e-12)
    expected = (variance + displacement * slope + rest.median(0, keepdim=True).values) / 2
    ratio = rest / expected
    level = _weighted_median(ratio.flatten(1), (seen * expected).flatten(1))
    level = (level / level.median()).reshape(-1, 1, 1, 1)
    worse = torch.where(level > _WORSE, level, 1)
    ratio = seen * ratio / worse
    other = _dilated((ratio > _OTHER).float(), 3 * _RADIUS) * (ratio > _BESIDE)
    other = _dilated(other, _RADIUS)
    trusted = (1 - other) * (level < _OTHER)
    excess = (trusted * (rest - expected)).flatten(1).sum(1) / trusted.flatten(1).sum(1).clamp(min=1)
    excess = torch.where(worse > 1, excess.clamp(min=0).reshape(-1, 1, 1, 1), 0)
    return trusted * (variance / (variance + excess)).sqrt()


def _mean(values: Tensor) -> Tensor:
    """Means over squares of `_RADIUS` about each pixel."""
    padded = F.pad(values, (_RADIUS,) * 4, mode="replicate")
    return F.avg_pool2d(padded, 2 * _RADIUS + 1, 1)


def _dilated(places: Tensor, radius: int) -> Tensor:
    """Binary maps (F, 1, H, W) dilated by squares of this radius."""
    return F.max_pool2d(places, 2 * radius + 1, 1, radius)


def _weighted_median(values: Tensor, weights: Tensor) -> Tensor:
    """The weighted median of each row, (B, N) -> (B,)."""
    ordered, order = values.sort(1)
    passed = weights.gather(1, order).cumsum(1)
    place = (passed >= passed[:, -1:] / 2).float().argmax(1, keepdim=True)
    return ordered.gather(1, place)[:, 0]
