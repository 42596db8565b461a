"""EDM preconditioning: a raw network becomes a denoiser that is well scaled at every noise level.

    D(x, sigma) = c_skip(sigma) x + c_out(sigma) F(c_in(sigma) x, ln(sigma) / 4)

Karras, Aittala, Aila, Laine, "Elucidating the Design Space of Diffusion-Based Generative Models" (arXiv 2206.00364),
equation 7 and table 1.
"""

from __future__ import annotations

from torch import Tensor, nn


class EDMDenoiser(nn.Module):
    """D(noisy, sigma): noisy (B, C, H, W) in units of the normalised variable, sigma (B,) > 0; returns (B, C, H, W).

    network: F(image, label). sigma_data: the standard deviation of the clean data.
    """

    def __init__(self, network: nn.Module, sigma_data: float = 0.5):
        super().__init__()
        self.network = network
        self.sigma_data = sigma_data

    def forward(self, noisy: Tensor, sigma: Tensor) -> Tensor:
        level = sigma.reshape(-1, 1, 1, 1).to(noisy.dtype)
        total = (level.square() + self.sigma_data**2).sqrt()
        raw = self.network(noisy / total, sigma.to(noisy.dtype).log() / 4)
        skip = (self.sigma_data / total).square()
        out = level * self.sigma_data / total
        return skip * noisy + out * raw.to(noisy.dtype)

    def loss_weight(self, sigma: Tensor) -> Tensor:
        """lambda(sigma): makes every noise level's loss start at one (equation 8's effective weight)."""
        return (sigma.square() + self.sigma_data**2) / (sigma * self.sigma_data).square()
