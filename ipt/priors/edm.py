"""EDM preconditioning: a raw network becomes a denoiser that is well scaled at every noise level.

    D(x, sigma) = c_skip(sigma) x + c_out(sigma) F(c_in(sigma) x, ln(sigma) / 4)

References:
    Karras, Aittala, Aila, Laine, "Elucidating the Design Space of Diffusion-Based Generative Models" (arXiv
    2206.00364), equation 7 and table 1.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class EDMDenoiser(nn.Module):
    """D(noisy, sigma): noisy (B, C, H, W), normalized; sigma (B,) > 0; returns (B, C, H, W).

    Args:
        network: the raw network F(image, label).
        sigma_data: standard deviation of the clean data.
    """

    def __init__(self, network: nn.Module, sigma_data: float = 0.5):
        super().__init__()
        self.network = network
        self.sigma_data = sigma_data

    def forward(self, noisy: Tensor, sigma: Tensor) -> Tensor:
        return preconditioned(self.network, noisy, sigma, self.sigma_data)

    def loss_weight(self, sigma: Tensor) -> Tensor:
        return loss_weight(sigma, self.sigma_data)


def preconditioned(
    network: Callable[[Tensor, Tensor], Tensor], noisy: Tensor, sigma: Tensor, sigma_data: float | Tensor
) -> Tensor:
    """D(noisy, sigma) of a raw network F(image, label); sigma_data: a number, or one for each example (B,)."""
    level = sigma.reshape(-1, 1, 1, 1).to(noisy.dtype)
    data = torch.as_tensor(sigma_data, dtype=noisy.dtype, device=noisy.device).reshape(-1, 1, 1, 1)
    total = (level.square() + data.square()).sqrt()
    raw = network(noisy / total, sigma.to(noisy.dtype).log() / 4)
    skip = (data / total).square()
    out = level * data / total
    return skip * noisy + out * raw.to(noisy.dtype)


def loss_weight(sigma: Tensor, sigma_data: float | Tensor) -> Tensor:
    """lambda(sigma), (B,), with which the loss of every noise level starts at 1 (equation 8)."""
    return (sigma.square() + sigma_data**2) / (sigma * sigma_data).square()
