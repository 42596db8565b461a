"""What the image's error amounts to in a measurement, as noise: division by its variance, frequency by frequency.

A denoiser's error is correlated: nearly all of it is at low frequencies (`ipt.linalg.spectra`). Counted as white, it
would make thousands of pixels that err together as many independent witnesses of a scalar, and let the low frequencies,
of which the estimate is most uncertain, outvote the others. (`ipt.operators.blur.steps` does the same in closed form.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ipt.linalg.spectra import frequencies, from_luma_chroma, to_luma_chroma

Weigh = Callable[[Tensor], Tensor]
"""S^-1 applied to a residual (B, C, H, W), image by image; symmetric and positive definite."""


def flat(variance: Tensor) -> Weigh:
    """White noise; variance: (B, 1, 1, 1)."""
    return lambda residual: residual / variance


def whitened(noise_variance: Tensor, errors: Sequence[Tensor]) -> Weigh:
    """White noise, and an error of which a few independent draws are given.

    The error's variance depends on the radial frequency alone, the channels turned to luminance and chrominance; to it
    is added its mean over all frequencies, for what such a spectrum may be wrong by.

    Args:
        noise_variance: (B, 1, 1, 1).
        errors: (B, C, H, W) each.
    """
    size = (errors[0].shape[-2], errors[0].shape[-1])
    power = torch.stack([torch.fft.rfft2(to_luma_chroma(error), norm="ortho").abs().square() for error in errors]).mean(
        0
    )
    spectrum = noise_variance + _by_radius(power, size) + power.mean((1, 2, 3), keepdim=True)

    def weigh(residual: Tensor) -> Tensor:
        return from_luma_chroma(torch.fft.irfft2(torch.fft.rfft2(to_luma_chroma(residual)) / spectrum, s=size))

    return weigh


def _by_radius(power: Tensor, size: tuple[int, int]) -> Tensor:
    """Each entry of (B, C, H, W // 2 + 1) becomes the mean over the ring of its radial frequency."""
    ring = (frequencies(size, power) * max(size)).round().long().flatten()
    count = torch.bincount(ring).clamp(min=1).to(power)
    total = torch.zeros(*power.shape[:2], len(count), dtype=power.dtype, device=power.device)
    total.index_add_(2, ring, power.flatten(2))
    return (total / count)[..., ring].reshape(power.shape)
