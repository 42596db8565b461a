"""Transitions from one noise level to the next, in the variance-exploding convention.

All act on z with z_sigma = clean + sigma * noise. With x_vp = z / sqrt(1 + sigma^2) they are the published transitions
of variance-preserving networks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from ipt.core.prior import Posterior
from ipt.core.sampling import Transition


@dataclass(frozen=True)
class Ancestral(Transition):
    """Draw from the process's own posterior p(z_next | z, clean) (DDPM, Ho et al., arXiv 2006.11239, equations 6, 7).

    Attributes:
        variance: "small" (beta-tilde, that of the posterior), "large" (beta, that of the forward step), or "learned"
            (between the two as the network says, arXiv 2102.09672, equation 15; small where it does not say).
    """

    variance: str = "small"

    def __post_init__(self) -> None:
        if self.variance not in ("small", "large", "learned"):
            raise ValueError(f"variance is small, large or learned, not {self.variance!r}")

    def __call__(self, noisy: Tensor, posterior: Posterior, sigma: float, sigma_next: float, noise: Tensor) -> Tensor:
        if sigma_next == 0:
            return posterior.mean
        ratio = (sigma_next / sigma) ** 2
        mean = posterior.mean + ratio * (noisy - posterior.mean)
        small = sigma_next**2 * (1 - ratio)
        # beta of the VP process in units of z: beta (1 + sigma_next^2), beta = 1 - (1 + sigma_next^2) / (1 + sigma^2).
        large = (sigma**2 - sigma_next**2) / (1 + sigma**2) * (1 + sigma_next**2)
        if self.variance == "large":
            return mean + math.sqrt(large) * noise
        place = posterior.variance_interpolation
        if self.variance == "small" or place is None:
            return mean + math.sqrt(small) * noise
        return mean + (0.5 * (place * math.log(large) + (1 - place) * math.log(small))).exp() * noise


@dataclass(frozen=True)
class DDIM(Transition):
    """Denoising diffusion implicit models (Song, Meng, Ermon, arXiv 2010.02502, equation 12).

    Attributes:
        eta: 0 is the deterministic path, 1 is ancestral sampling.
    """

    eta: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.eta <= 1:
            raise ValueError(f"eta is within 0..1, not {self.eta}")

    def __call__(self, noisy: Tensor, posterior: Posterior, sigma: float, sigma_next: float, noise: Tensor) -> Tensor:
        if sigma_next == 0:
            return posterior.mean
        fresh = self.eta * sigma_next * math.sqrt(max(0.0, 1 - (sigma_next / sigma) ** 2))
        kept = math.sqrt(sigma_next**2 - fresh**2)
        return posterior.mean + kept / sigma * (noisy - posterior.mean) + fresh * noise


@dataclass(frozen=True)
class Renoise(Transition):
    """Add noise to the estimate: clean + sigma_next (sqrt(1 - zeta) * present noise + sqrt(zeta) * new noise).

    Attributes:
        zeta: share of new noise, 0..1. At 1 the path is forgotten, so that errors of early estimates do not persist.

    References:
        Zhu et al., "Denoising Diffusion Models for Plug-and-Play Image Restoration" (arXiv 2305.08995), algorithm 1.
    """

    zeta: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.zeta <= 1:
            raise ValueError(f"zeta is within 0..1, not {self.zeta}")

    def __call__(self, noisy: Tensor, posterior: Posterior, sigma: float, sigma_next: float, noise: Tensor) -> Tensor:
        if sigma_next == 0:
            return posterior.mean
        present = (noisy - posterior.mean) / sigma
        mixed = noise if self.zeta == 1 else math.sqrt(1 - self.zeta) * present + math.sqrt(self.zeta) * noise
        return posterior.mean + sigma_next * mixed
