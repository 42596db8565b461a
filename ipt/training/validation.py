"""Validation: the mean squared error of a denoiser on held-out examples, by noise level."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ipt.priors.precision import computing
from ipt.training.sources import Source

VALIDATION_SIGMAS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0)


@torch.no_grad()
def validate(
    denoiser: nn.Module,
    source: Source,
    sigmas: Sequence[float] = VALIDATION_SIGMAS,
    count: int = 500,
    device: str | torch.device = "cpu",
    precision: str = "fp32",
    cancelled: Callable[[], bool] = lambda: False,
) -> dict[float, float] | None:
    """Measure a denoiser's error on held-out examples, with the same noise at every call.

    Args:
        denoiser: D(noisy (B, C, H, W), sigma (B,)).
        source: Of the examples.
        sigmas: Noise levels, in normalised units.
        count: The most examples.
        device: Of the denoiser.
        precision: Of its arithmetic.
        cancelled: Called before every batch; True ends the validation.

    Returns:
        Mean squared error by noise level, in normalised units; None if it was cancelled.
    """
    place = torch.device(device)
    result = {}
    groups: list[Tensor] = source.validation(count)
    for sigma in sigmas:
        numbers = torch.Generator().manual_seed(1)
        total, seen = 0.0, 0
        for group in groups:
            for clean in group.split(64):
                if cancelled():
                    return None
                noise = torch.randn(clean.shape, generator=numbers)
                noisy = (clean.cpu() + sigma * noise).to(place, memory_format=torch.channels_last)
                with computing(precision, place):
                    estimate = denoiser(noisy, torch.full((len(clean),), sigma, device=place))
                total += float((estimate.float().cpu() - clean.cpu()).square().mean((1, 2, 3)).sum())
                seen += len(clean)
        result[sigma] = total / seen
    return result
