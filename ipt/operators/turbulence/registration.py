"""The tilts of several exposures, from these alone: each is registered to the mean of all, which so becomes sharper.

A tilt is the optical flow from an exposure to the scene, y(p) = x(p + u(p)). For the scene stands the mean of the
exposures moved back by the tilts so far; what all tilts have in common is taken for the scene's own shape.

References:
    Le Besnerais, Champagnat, "Dense optical flow by iterative local window registration", ICIP 2005 (in scikit-image).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ipt.operators.turbulence.warp import warp_adjoint

_RADII = (12, 7)
"""Of the windows within which a flow is taken for even, in pixels: a pass each."""
_WARPS = 6
_LEAST = 0.3
"""Weight below which a pixel of the scene is seen too little: there the plain mean stands for it."""


def register(exposures: Tensor) -> tuple[Tensor, Tensor]:
    """The scene that exposures show, and their tilts.

    Args:
        exposures: (F, C, H, W) in 0..1.

    Returns:
        (C, H, W), the mean of what they show, and (F, 2, H, W) in pixels, of mean zero over the exposures.
    """
    if len(exposures) == 1:
        return exposures[0], torch.zeros_like(exposures[:, :1]).repeat(1, 2, 1, 1)
    # It takes a while to load.
    from skimage.registration import optical_flow_ilk

    values = exposures.detach().cpu().float()
    grey = values.mean(1).numpy()
    scene, tilts = values.mean(0), torch.zeros(len(values), 2, *values.shape[2:])
    for radius in _RADII:
        still = scene.mean(0).numpy()
        flows = np.stack(
            [optical_flow_ilk(one, still, radius=min(radius, min(one.shape) // 4), num_warp=_WARPS) for one in grey]
        )
        tilts = torch.from_numpy(flows).float()
        tilts = tilts - tilts.mean(0)
        scene = _moved_back(values, tilts)
    return scene.to(exposures), tilts.to(exposures)


def _moved_back(exposures: Tensor, tilts: Tensor) -> Tensor:
    """The mean of exposures (F, C, H, W), each moved back by its tilt, (C, H, W)."""
    total = warp_adjoint(exposures, tilts, "bilinear", "replicate").sum(0)
    weight = warp_adjoint(torch.ones_like(exposures[:, :1]), tilts, "bilinear", "replicate").sum(0)
    return torch.where(weight < _LEAST * len(exposures), exposures.mean(0), total / weight.clamp(min=1e-6))
