"""The tilts of several exposures of one scene, found by registering each to the mean of all.

    mean of exposures -> flows to it = tilts -> exposures warped back -> sharper mean -> flows to it ...

A tilt is the optical flow from an exposure to the scene, y(p) = x(p + u(p)). The scene is the mean of the exposures
warped back by the present tilts, each pixel weighted by how well it agrees (`ipt.operators.turbulence.agreement`). The
mean of the tilts cannot be told from the scene's own shape, and is set to 0.

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
"""Radii in pixels of the windows in which a flow is constant, one for each pass."""
_WARPS = 6
"""Iterations of the optical flow in a pass."""
_LEAST = 0.3
"""Total weight below which a pixel of the scene has no value from the exposures that were warped back to it."""


@dataclass(frozen=True)
class Registration:
    """The scene that exposures (F, C, H, W) show.

    Attributes:
        scene: (C, H, W) in 0..1.
        tilts: tilt fields in pixels, (F, 2, H, W); their weighted mean over the exposures is 0.
        weights: weight of each pixel, (F, 1, H, W), 0..1 (`agreement`); 0 where it does not show the scene.
        exposures: (F, C, H, W), with the warped scene wherever an exposure does not show the scene.
    """

    scene: Tensor
    tilts: Tensor
    weights: Tensor
    exposures: Tensor


def register(exposures: Tensor, noise: float, seen: Tensor | None = None, known: Tensor | None = None) -> Registration:
    """Find the scene that exposures show, their tilts, and how well they agree.

    Args:
        exposures: (F, C, H, W) in 0..1.
        noise: standard deviation of their noise, in units of 0..1.
        seen: 0 where nothing was measured, else 1, (F, 1, H, W); None: 1 everywhere.
        known: the tilts in pixels, (F, 2, H, W), where they are known.
    """
    values = exposures.detach().cpu().float()
    given = torch.ones_like(values[:, :1]) if seen is None else (seen.detach().cpu() > 0).float()
    counts, tilts = given, torch.zeros(len(values), 2, *values.shape[2:])
    usual = scene = _extended((given * values).sum(0, True), given.sum(0, True))[0]
    filled = torch.where(given > 0, values, scene)
    passes = (0,) if known is not None else _RADII if len(values) > 1 else ()
    for radius in passes:
        tilts = _centred(_flows(filled, scene, radius), counts) if known is None else known.detach().cpu().float()
        total, weight = _warped_back(values, tilts, given)
        each = torch.where(weight < _LEAST, usual, total / weight.clamp(min=1e-6))
        # Torch's median of an even number is the lower of the middle two.
        scene = torch.from_numpy(np.median(each.numpy(), 0))
        predicted = warp(scene.expand_as(values), tilts, "bilinear", "replicate")
        inside = warp(torch.ones_like(given), tilts, "bilinear", "zero") > 1 - 1e-6
        counts = given * agreement(values, predicted, noise, given * inside)
        if known is None:
            # Near something in front of the scene the flow follows that: it is filled in from further away.
            near = (F.max_pool2d(1 - (counts > 0).float(), 2 * radius + 1, 1, radius) == 0).float()
            tilts = _centred(_extended(near * tilts, near), counts)
        predicted = warp(scene.expand_as(values), tilts, "bilinear", "replicate")
        filled = torch.where(counts > 0, values, predicted)
        total, weight = (one.sum(0) for one in _warped_back(values, tilts, counts.square()))
        scene = torch.where(weight < _LEAST, usual, total / weight.clamp(min=1e-6))
    return Registration(*(one.to(exposures) for one in (scene, tilts, counts, filled)))


def _flows(exposures: Tensor, scene: Tensor, radius: int) -> Tensor:
    """The optical flow from each exposure to the scene, in pixels, (F, 2, H, W)."""
    # Imported here because scikit-image takes a while to load.
    from skimage.registration import optical_flow_ilk

    still, radius = scene.mean(0).numpy(), min(radius, min(scene.shape[1:]) // 4)
    flows = [optical_flow_ilk(one, still, radius=radius, num_warp=_WARPS) for one in exposures.mean(1).numpy()]
    return torch.from_numpy(np.stack(flows)).float()


def _centred(tilts: Tensor, weights: Tensor) -> Tensor:
    """Tilts less their weighted mean; 0 for an exposure that shows nothing of the scene."""
    own = weights.mean((-3, -2, -1), keepdim=True)
    return torch.where(own > 0, tilts - (own * tilts).sum(0) / own.sum(), 0)


def _warped_back(exposures: Tensor, tilts: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted exposures (F, C, H, W) and the weights (F, 1, H, W), both warped back by the tilts."""
    total = warp_adjoint(weights * exposures, tilts, "bilinear", "replicate")
    return total, warp_adjoint(weights, tilts, "bilinear", "replicate")


def _extended(total: Tensor, weight: Tensor) -> Tensor:
    """Weighted sums (B, C, H, W) over their weights (B, 1, H, W); where these are 0, the mean of the surroundings."""
    mean = total / weight.clamp(min=1e-6)
    if (weight > 0).all() or max(weight.shape[2:]) == 1:
        return mean
    halved = [F.avg_pool2d(one, 2, ceil_mode=True) for one in (total, weight)]
    return torch.where(weight > 0, mean, F.interpolate(_extended(*halved), weight.shape[2:], mode="bilinear"))
