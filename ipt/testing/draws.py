"""Draws from a prior by its own denoiser: typical values of an unknown, if no others are given."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from ipt.core.prior import Prior
from ipt.sampling.schedules import Karras
from ipt.testing.measures import BATCH, normal
from ipt.testing.promises import require
from ipt.testing.returned import real

_CALLS = 8


@torch.no_grad()
def draws(prior: Prior, shape: tuple[int, ...], device: str | torch.device = "cpu") -> Tensor:
    """Integrate the probability-flow ODE from noise by Euler's method.

    Args:
        prior: that is drawn from.
        shape: (C, H, W) of the normalized variable.
        device: where the prior runs.

    Returns:
        (BATCH, *shape), normalized, float64, on the CPU.
    """
    sigmas = Karras(_CALLS, sigma_max=20.0).sigmas().tolist()
    noisy: Tensor = sigmas[0] * normal((BATCH, *shape), "draws").to(device)
    for sigma, following in pairwise(sigmas):
        clean = real(prior.denoise(noisy.clone(), sigma), "denoise")
        kept = clean.shape == noisy.shape
        require(kept, f"denoise gives {tuple(clean.shape)} for {tuple(noisy.shape)}")
        noisy = clean + following / sigma * (noisy - clean)
    return noisy.double().cpu()
