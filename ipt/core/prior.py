"""What is known of one unknown before measuring: a denoiser, and the normalization of its variable."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipt.core.covariance import Covariance, Isotropic
from ipt.core.normalization import Normalization

# Torch is imported by what computes: a plugin whose classes stand beside its hooks does not slow `ipt list` down.
if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Posterior:
    """What a prior makes of a noisy variable: p(clean | noisy), in normalized units.

    Attributes:
        mean: E[clean | noisy], (B, C, H, W).
        covariance: of what is still unknown.
        variance_interpolation: of networks that learn their transition's variance, the place between the smallest (0)
            and the largest (1) on a logarithmic scale, (B, C, H, W); else None (Nichol, Dhariwal, "Improved DDPM",
            arXiv 2102.09672, equation 15).
        prior_covariance: of the variable itself, where the prior is Gaussian about zero (and its normalization has no
            offset), at least given what `noisy` says of which Gaussian; with it an operator may solve for the variable
            outright. None: it is not.
    """

    mean: Tensor
    covariance: Covariance
    variance_interpolation: Tensor | None = None
    prior_covariance: Covariance | None = None


class Prior(ABC):
    """A prior of one unknown. An author writes `normalization` and `denoise`.

    The variable is normalized to about -1..1; noise is measured in sigma, its standard deviation in that space
    (variance exploding: noisy = clean + sigma * noise).
    """

    @abstractmethod
    def normalization(self, shape: tuple[int, ...]) -> Normalization:
        """The normalization of a quantity.

        Args:
            shape: (C, H, W) of the physical quantity.

        Raises:
            ValueError: the prior takes no such shape; the message names those that it takes.
        """

    @abstractmethod
    def denoise(self, noisy: Tensor, sigma: float) -> Tensor:
        """E[clean | noisy = clean + sigma * noise].

        Args:
            noisy: (B, C, H, W), normalized.
            sigma: standard deviation of the noise, above 0.

        Returns:
            (B, C, H, W), normalized.
        """

    def posterior(self, noisy: Tensor, sigma: float) -> Posterior:
        """`denoise`, and how uncertain its result is (default: `usual_covariance`); arguments as of `denoise`."""
        return Posterior(self.denoise(noisy, sigma), usual_covariance(noisy, sigma))


def usual_covariance(noisy: Tensor, sigma: float) -> Covariance:
    """Of an estimate, where nothing better is known: independent errors of the standard deviation
    sigma * .5 / sqrt(sigma^2 + .25), that of the estimate of a Gaussian of standard deviation .5."""
    return Isotropic.like(noisy, sigma * 0.5 / math.hypot(sigma, 0.5))
