"""How wrong a denoised kernel may be: by entry, s(u), and by frequency, V(f).

Most entries of a kernel are 0, and a denoiser knows that of those far from the path of the light. So the noise through
which the kernel was seen is left only near the path:

    s(u)^2 = _LEAST + (1 - _LEAST) p(u) / (p(u) + sigma^2),

where p(u) is the largest entry within `_REACH` pixels, smoothed over 3x3, as a share of the peak: an entry cannot be
wrong by much more than the light that may be there. The kernel's error is s times white noise of level sigma.

In a narrow window, in which the kernel of the smallest picture is looked for, the path itself may be elsewhere. There,
and for colour pictures, which gain nothing by it (docs/method.md, Constants), s is 1 and the noise has `_DOUBT` times
the variance.

V(f) is that error's variance by frequency, at most the variance of kernels themselves. A path of mean radius r has
|K|^2 of about 1 / (1 + 3 pi f r) times the pixel's aperture, sinc^4. At frequency 0 it is 0, because kernels sum to 1
and are centred.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.operators.blur.padded_frame import PaddedFrame

_REACH = 3
"""Distance in pixels by which the path of a denoised kernel may be off. This and the constants below: docs/method.md,
Constants."""
_LEAST = 0.1
"""Least s^2, so that light which a kernel lacks can be found anywhere."""
_NARROW = 24
"""Sides in pixels below which a window is narrow."""
_DOUBT = 2.0
"""Variance of a denoised kernel where s is 1, over that of the noise through which it was seen."""


def denoised_error(kernel: Tensor, sigma: float, path: bool) -> tuple[Tensor, float]:
    """How wrong each entry of denoised kernels may be.

    Args:
        kernel: the kernels' means, non-negative, (K, 1, h, w).
        sigma: noise level through which they were seen, of kernels with a peak of 1; infinite: not at all.
        path: whether s follows the kernel's path where its window is wide enough; otherwise it is 1.

    Returns:
        s, above 0 and at most 1, (K, 1, h, w); and the level of the white noise that is multiplied by it, of kernels
        with a peak of 1.
    """
    if not path or max(kernel.shape[-2:]) < _NARROW or math.isinf(sigma):
        return torch.ones_like(kernel), math.sqrt(_DOUBT) * sigma
    share = kernel / kernel.amax((-2, -1), keepdim=True).clamp(min=1e-8)
    near = F.avg_pool2d(F.max_pool2d(share, 2 * _REACH + 1, 1, _REACH), 3, 1, 1)
    return (_LEAST + (1 - _LEAST) * near / (near + sigma * sigma)).sqrt(), sigma


def error_variance(padded: PaddedFrame, kernel: Tensor, power: Tensor, entries: Tensor, sigma: Tensor) -> Tensor:
    """V(f) of denoised kernels, (K, 1, P, Q // 2 + 1).

    Args:
        padded: geometry of the convolution.
        kernel: the kernels' means, valid, (K, 1, h, w).
        power: |K|^2 of the means.
        entries: number of entries that may be wrong, the sum of s^2, (K, 1, 1, 1).
        sigma: level of the noise in the entries, of kernels of sum 1, (K, 1, 1, 1); infinite: not seen at all.
    """
    limit = torch.minimum((1 - power).clamp(min=0).square(), kernel_spectrum(padded, kernel)).clamp(min=1e-7)
    return 1 / (1 / limit + 1 / (entries * sigma.square()))


def kernel_spectrum(padded: PaddedFrame, kernel: Tensor) -> Tensor:
    """About E|K|^2 for kernels as wide as this mean, (K, 1, P, Q // 2 + 1)."""
    frequency = padded.frequencies(kernel)
    return torch.sinc(frequency) ** 4 / (1 + 3 * math.pi * frequency * radius(kernel))


def radius(kernel: Tensor) -> Tensor:
    """Root mean square distance in pixels of a kernel's light from its centre pixel, (K, 1, 1, 1)."""
    height, width = kernel.shape[-2:]
    rows = (torch.arange(height).to(kernel) - height // 2)[:, None]
    columns = (torch.arange(width).to(kernel) - width // 2)[None]
    return (kernel * (rows.square() + columns.square())).sum((-3, -2, -1), keepdim=True).clamp(min=0.05).sqrt()
