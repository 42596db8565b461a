"""Sequences of noise levels, and from one level to the next, in the variance-exploding convention.

z_sigma = clean + sigma * noise. A variance-preserving process x_vp = sqrt(abar) z = z / sqrt(1 + sigma^2) has
sigma = sqrt((1 - abar) / abar) on z, so its published transitions are moves of z.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from ipt.core.prior import Posterior


class Schedule(ABC):
    """Noise levels for a solve."""

    @abstractmethod
    def sigmas(self) -> Tensor:
        """(steps + 1,) in float64, strictly falling, the last one 0."""


@dataclass(frozen=True)
class Karras(Schedule):
    """sigma_i = (max^(1/rho) + i/(N-1) (min^(1/rho) - max^(1/rho)))^rho (EDM, arXiv 2206.00364, equation 5)."""

    steps: int = 100
    sigma_max: float = 80.0
    sigma_min: float = 0.02
    rho: float = 7.0

    def __post_init__(self) -> None:
        if self.steps < 1 or not 0 < self.sigma_min < self.sigma_max or self.rho <= 0:
            raise ValueError(f"a Karras schedule needs steps >= 1, 0 < sigma_min < sigma_max and rho > 0, not {self}")

    def sigmas(self) -> Tensor:
        place = torch.linspace(0, 1, self.steps, dtype=torch.float64)
        high, low = self.sigma_max ** (1 / self.rho), self.sigma_min ** (1 / self.rho)
        levels = (high + place * (low - high)) ** self.rho
        return torch.cat([levels, levels.new_zeros(1)])


@dataclass(frozen=True)
class VP(Schedule):
    """The discrete variance-preserving process, whole or an evenly spaced subset.

    Attributes:
        steps: of the subset (None: all of the process); both ends are kept, and of a single step the noisy one.
        betas: "linear" (Ho et al., arXiv 2006.11239: 1e-4 to .02 over 1000 steps, scaled by 1000 / length) or "cosine"
            (Nichol, Dhariwal, arXiv 2102.09672, equation 17), never above .999.
        length: of the whole process.
    """

    steps: int | None = None
    betas: str = "linear"
    length: int = 1000

    def __post_init__(self) -> None:
        if self.betas not in ("linear", "cosine"):
            raise ValueError(f"betas is linear or cosine, not {self.betas!r}")
        if self.length < 2 or not 1 <= self._count() <= self.length:
            raise ValueError(f"a VP schedule needs 1 <= steps <= length and length >= 2, not {self}")

    def alphas_bar(self) -> Tensor:
        """abar of the whole process, (length,) in float64, falling."""
        if self.betas == "linear":
            scale = 1000 / self.length
            betas = torch.linspace(scale * 1e-4, scale * 0.02, self.length, dtype=torch.float64)
        else:
            edges = torch.arange(self.length + 1, dtype=torch.float64) / self.length
            bar = ((edges + 0.008) / 1.008 * math.pi / 2).cos() ** 2
            betas = 1 - bar[1:] / bar[:-1]
        return (1 - betas.clamp(max=0.999)).cumprod(0)

    def timesteps(self) -> Tensor:
        """Indices into the whole process that the subset keeps, rising."""
        # Counted from the noisy end, so that a single step starts from noise.
        return torch.linspace(self.length - 1, 0, self._count(), dtype=torch.float64).round().long().flip(0)

    def _count(self) -> int:
        return self.length if self.steps is None else self.steps

    def sigmas(self) -> Tensor:
        bar = self.alphas_bar()[self.timesteps()].flip(0)
        levels = ((1 - bar) / bar).sqrt()
        return torch.cat([levels, levels.new_zeros(1)])


@dataclass(frozen=True)
class Tail(Schedule):
    """Another schedule from the first level on that is at most `start`, with at least one step."""

    schedule: Schedule
    start: float

    def sigmas(self) -> Tensor:
        levels = self.schedule.sigmas()
        return levels[min(int((levels > self.start).sum()), len(levels) - 2) :]


class Transition(ABC):
    """From one noise level to the next."""

    @abstractmethod
    def __call__(self, noisy: Tensor, posterior: Posterior, sigma: float, sigma_next: float, noise: Tensor) -> Tensor:
        """The variable at sigma_next.

        Args:
            noisy: the variable at sigma, (B, C, H, W).
            posterior: its (corrected) posterior.
            sigma: its noise level.
            sigma_next: 0 <= sigma_next < sigma; at 0, no noise is added.
            noise: standard normal, like `noisy`.
        """


@dataclass(frozen=True)
class Ancestral(Transition):
    """Draw from the process's own posterior p(z_next | z, clean) (DDPM, Ho et al., arXiv 2006.11239, equations 6, 7).

    Attributes:
        variance: "small" (the posterior's own, beta-tilde), "large" (the forward step's, beta), or "learned" (between
            the two, where the network says; arXiv 2102.09672, equation 15; small where it does not).
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
        # beta of the VP process, carried to z: beta (1 + sigma_next^2), beta = 1 - (1 + sigma_next^2) / (1 + sigma^2).
        large = (sigma**2 - sigma_next**2) / (1 + sigma**2) * (1 + sigma_next**2)
        if self.variance == "large":
            return mean + math.sqrt(large) * noise
        place = posterior.variance_interpolation
        if self.variance == "small" or place is None:
            return mean + math.sqrt(small) * noise
        return mean + (0.5 * (place * math.log(large) + (1 - place) * math.log(small))).exp() * noise


@dataclass(frozen=True)
class DDIM(Transition):
    """eta = 0 follows the deterministic path, eta = 1 is ancestral sampling (Song, Meng, Ermon, arXiv 2010.02502,
    equation 12)."""

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
    """Noise the estimate afresh: clean + sigma_next (sqrt(1 - zeta) * the noise there was + sqrt(zeta) * new noise).

    zeta = 1 forgets the path altogether, so errors of early estimates are not carried along (Zhu et al., "Denoising
    Diffusion Models for Plug-and-Play Image Restoration", arXiv 2305.08995, algorithm 1).
    """

    zeta: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.zeta <= 1:
            raise ValueError(f"zeta is within 0..1, not {self.zeta}")

    def __call__(self, noisy: Tensor, posterior: Posterior, sigma: float, sigma_next: float, noise: Tensor) -> Tensor:
        if sigma_next == 0:
            return posterior.mean
        there = (noisy - posterior.mean) / sigma
        mixed = noise if self.zeta == 1 else math.sqrt(1 - self.zeta) * there + math.sqrt(self.zeta) * noise
        return posterior.mean + sigma_next * mixed
