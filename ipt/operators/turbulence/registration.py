"""The tilts of several exposures, from these alone: each is registered to the scene of all, which so becomes sharper.

A tilt is the optical flow from an exposure to the scene, y(p) = x(p + u(p)). For the scene stands the mean of the
exposures moved back by the tilts so far, each pixel as far as it agrees (`ipt.operators.turbulence.agreement`); what
all tilts have in common is taken for the scene's own shape.

References:
    Le Besnerais, Champagnat, "Dense optical flow by iterative local window registration", ICIP 2005 (in scikit-image).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.operators.turbulence.agreement import agreement
from ipt.operators.turbulence.warp import warp, warp_adjoint

_RADII = (12, 7)
"""Of the windows within which a flow is taken for even, in pixels: a pass each."""
_WARPS = 6
_LEAST = 0.3
"""Of a pixel, below which an exposure, or the mean of them, is said to show nothing of the scene there."""


@dataclass(frozen=True)
class Registration:
    """What exposures (F, C, H, W) show.

    Attributes:
        scene: (C, H, W).
        tilts: (F, 2, H, W) in pixels, of mean zero over the exposures as they count.
        weights: how much pixels count, (F, 1, H, W): 0 where they do not show the scene, else the noise over that of
            their exposure.
        exposures: where they do not show the scene what it would look like in them.
    """

    scene: Tensor
    tilts: Tensor
    weights: Tensor
    exposures: Tensor


def register(exposures: Tensor, noise: float, seen: Tensor | None = None, known: Tensor | None = None) -> Registration:
    """The scene that exposures show, their tilts, and how far they agree.

    Args:
        exposures: (F, C, H, W) in 0..1.
        noise: its standard deviation.
        seen: 0 where nothing was measured, (F, 1, H, W); None: all was.
        known: the tilts, where they are, (F, 2, H, W).
    """
    values = exposures.detach().cpu().float()
    given = torch.ones_like(values[:, :1]) if seen is None else (seen.detach().cpu() > 0).float()
    counts, tilts = given, torch.zeros(len(values), 2, *values.shape[2:])
    usual = scene = _extended((given * values).sum(0, True), given.sum(0, True))[0]
    filled = torch.where(given > 0, values, scene)
    passes = (0,) if known is not None else _RADII if len(values) > 1 else ()
    for radius in passes:
        tilts = _centred(_flows(filled, scene, radius), counts) if known is None else known.detach().cpu().float()
        total, weight = _moved_back(values, tilts, given)
        each = torch.where(weight < _LEAST, usual, total / weight.clamp(min=1e-6))
        # Torch's median of an even number is the lower of the middle two.
        scene = torch.from_numpy(np.median(each.numpy(), 0))
        predicted = warp(scene.expand_as(values), tilts, "bilinear", "replicate")
        inside = warp(torch.ones_like(given), tilts, "bilinear", "zero") > 1 - 1e-6
        counts = given * agreement(values, predicted, noise, given * inside)
        if known is None:
            # What is in front of the scene has dragged the flow along.
            near = (F.max_pool2d(1 - (counts > 0).float(), 2 * radius + 1, 1, radius) == 0).float()
            tilts = _centred(_extended(near * tilts, near), counts)
        predicted = warp(scene.expand_as(values), tilts, "bilinear", "replicate")
        filled = torch.where(counts > 0, values, predicted)
        total, weight = (one.sum(0) for one in _moved_back(values, tilts, counts.square()))
        scene = torch.where(weight < _LEAST, usual, total / weight.clamp(min=1e-6))
    return Registration(*(one.to(exposures) for one in (scene, tilts, counts, filled)))


def _flows(exposures: Tensor, scene: Tensor, radius: int) -> Tensor:
    """From each exposure to the scene, (F, 2, H, W)."""
    # It takes a while to load.
    from skimage.registration import optical_flow_ilk

    still, radius = scene.mean(0).numpy(), min(radius, min(scene.shape[1:]) // 4)
    flows = [optical_flow_ilk(one, still, radius=radius, num_warp=_WARPS) for one in exposures.mean(1).numpy()]
    return torch.from_numpy(np.stack(flows)).float()


def _centred(tilts: Tensor, weights: Tensor) -> Tensor:
    """Without their mean; none where an exposure shows nothing of the scene."""
    own = weights.mean((-3, -2, -1), keepdim=True)
    return torch.where(own > 0, tilts - (own * tilts).sum(0) / own.sum(), 0)


def _moved_back(exposures: Tensor, tilts: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Exposures (F, C, H, W), weighed and moved back by their tilts; and the weights, (F, 1, H, W), likewise."""
    total = warp_adjoint(weights * exposures, tilts, "bilinear", "replicate")
    return total, warp_adjoint(weights, tilts, "bilinear", "replicate")


def _extended(total: Tensor, weight: Tensor) -> Tensor:
    """Weighed values (B, C, H, W) over their weights; where these are 0, the mean of what is near."""
    mean = total / weight.clamp(min=1e-6)
    if (weight > 0).all() or max(weight.shape[2:]) == 1:
        return mean
    halved = [F.avg_pool2d(one, 2, ceil_mode=True) for one in (total, weight)]
    return torch.where(weight > 0, mean, F.interpolate(_extended(*halved), weight.shape[2:], mode="bilinear"))
