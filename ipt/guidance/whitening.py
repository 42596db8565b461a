"""The inverse covariance of a residual: measurement noise, and the image's error as it shows in the measurement.

A denoiser's error is correlated: nearly all of it is at low frequencies (`ipt.linalg.spectra`). Treated as white noise,
thousands of pixels with a common error would count as independent data about a scalar parameter, and low frequencies,
where the image is most uncertain, would outweigh the others. `ipt.operators.blur.steps` does the same in closed form.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ipt.linalg.spectra import frequencies, from_luma_chroma, to_luma_chroma

InverseCovariance = Callable[[Tensor], Tensor]
"""The map r -> S^-1 r of residuals (B, C, H, W), image by image; symmetric and positive definite."""


def white(variance: Tensor) -> InverseCovariance:
    """S of white noise of this variance, (B, 1, 1, 1)."""
    return lambda residual: residual / variance


def correlated(noise_variance: Tensor, errors: Sequence[Tensor]) -> InverseCovariance:
    """S of white noise plus an error whose spectrum is estimated from a few independent draws.

    The spectrum is taken in luminance and chrominance, and averaged over rings of equal radial frequency. Its mean over
    all frequencies is added as a margin for the error of the estimate.

    Args:
        noise_variance: variance of the white noise, (B, 1, 1, 1).
        errors: draws of the error, (B, C, H, W) each.
    """
    size = (errors[0].shape[-2], errors[0].shape[-1])
    powers = [torch.fft.rfft2(to_luma_chroma(error), norm="ortho").abs().square() for error in errors]
    power = torch.stack(powers).mean(0)
    spectrum = noise_variance + _averaged_over_rings(power, size) + power.mean((1, 2, 3), keepdim=True)

    def apply(residual: Tensor) -> Tensor:
        return from_luma_chroma(torch.fft.irfft2(torch.fft.rfft2(to_luma_chroma(residual)) / spectrum, s=size))

    return apply


def _averaged_over_rings(power: Tensor, size: tuple[int, int]) -> Tensor:
    """Each entry of (B, C, H, W // 2 + 1), replaced by the mean over the ring of its radial frequency."""
    ring = (frequencies(size, power) * max(size)).round().long().flatten()
    count = torch.bincount(ring).clamp(min=1).to(power)
    total = torch.zeros(*power.shape[:2], len(count), dtype=power.dtype, device=power.device)
    total.index_add_(2, ring, power.flatten(2))
    return (total / count)[..., ring].reshape(power.shape)
