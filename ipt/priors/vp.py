"""A network that predicts the noise of a discrete variance-preserving process, as a denoiser in sigma.

    x_vp = z / sqrt(1 + sigma^2),   eps = F(x_vp, t(sigma)),   clean = z - sigma * eps

sigma(t) = sqrt((1 - abar_t) / abar_t) (Ho, Jain, Abbeel, arXiv 2006.11239). Elsewhere in the package there are no
timesteps, except for models of diffusers (`ipt.priors.diffusers`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ipt.sampling.schedules import VP


class VPDenoiser(nn.Module):
    """D(noisy, sigma): noisy (B, C, H, W) = clean + sigma * noise, sigma (B,) > 0; returns (B, C, H, W).

    Args:
        network: F(image, timestep) -> the noise (B, C, H, W), or (B, 2 C, H, W) with the channels of a learned variance
            last.
        process: the process that the network was trained on; None: `VP()`.
        clip: whether to clip the estimate to -1..1, as the published samplers do.

    The estimate is z - sigma * eps, so errors of the network are multiplied by sigma. At a large sigma the three digits
    of bf16 are visible.
    """

    def __init__(self, network: nn.Module, process: VP | None = None, clip: bool = True):
        super().__init__()
        self.network, self.clip = network, clip
        bar = (process or VP()).alphas_bar()
        # Not a buffer, so that it stays in float64 on the CPU when the network is cast.
        self._levels = (0.5 * ((1 - bar) / bar).log()).contiguous()

    def timestep(self, sigma: Tensor) -> Tensor:
        """The timestep of a noise level, (B,) float64.

        It is linear in log sigma between the process' levels, an exact integer on them, and clipped to their ends.
        """
        level = sigma.detach().to("cpu", torch.float64).log().clamp(self._levels[0], self._levels[-1])
        above = torch.searchsorted(self._levels, level).clamp(1, len(self._levels) - 1)
        low, high = self._levels[above - 1], self._levels[above]
        place = above - 1 + (level - low) / (high - low)
        # A level that was rounded to float32 is off by up to 1e-5 of a step.
        return torch.where((place - place.round()).abs() < 1e-4, place.round(), place)

    def forward(self, noisy: Tensor, sigma: Tensor) -> Tensor:
        return self.estimate(noisy, sigma)[0]

    def estimate(self, noisy: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor | None]:
        """The estimate, (B, C, H, W), and the learned variance's interpolation, 0..1, or None without one."""
        level = sigma.to(noisy.dtype).reshape(-1, 1, 1, 1)
        # float32 is enough for the network's embedding, and some devices have no float64.
        time = self.timestep(sigma).to(torch.promote_types(noisy.dtype, torch.float32)).to(noisy.device)
        raw = self.network(noisy / (1 + level.square()).sqrt(), time).to(noisy.dtype)
        channels = noisy.shape[1]
        clean = noisy - level * raw[:, :channels]
        if self.clip:
            clean = clean.clamp(-1, 1)
        return clean, (raw[:, channels:] + 1) / 2 if raw.shape[1] > channels else None
