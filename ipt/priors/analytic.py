"""Priors whose denoiser is known in closed form: independent Gaussian entries, and entries uniform in an interval."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from torch import Tensor

from ipt.core.errors import IptError
from ipt.core.prior import Posterior, Prior
from ipt.linalg.covariances import Isotropic
from ipt.linalg.normalization import Normalization
from ipt.priors.checks import check_affine


class GaussianPrior(Prior):
    """Independent entries of a Gaussian distribution, of any shape.

    Args:
        mean: mean of an entry, in `units`: a number, or a tensor that broadcasts to (C, H, W).
        std: standard deviation of an entry, in `units`, above 0: a number, or a tensor that broadcasts to (C, H, W).
        scale: physical = offset + scale * normalized. None: .5 with normalized units, as for images and kernels; twice
            the mean of `std` with physical ones.
        offset: see scale. None: .5 with normalized units, the mean of `mean` with physical ones.
        units: units of `mean` and `std`, "normalized" or "physical".

    Raises:
        IptError: a value that is not finite or out of range.
    """

    def __init__(
        self,
        mean: float | Tensor = 0.0,
        std: float | Tensor = 0.5,
        scale: float | None = None,
        offset: float | None = None,
        units: str = "normalized",
    ):
        if units not in ("normalized", "physical"):
            raise IptError(f"units is normalized or physical, not {units!r}")
        self.mean, self.std = torch.as_tensor(mean, dtype=torch.float64), torch.as_tensor(std, dtype=torch.float64)
        physical = units == "physical"
        if scale is None:
            scale = 2 * float(self.std.mean()) if physical else 0.5
        if offset is None:
            offset = float(self.mean.mean()) if physical else 0.5
        if not torch.isfinite(self.mean).all() or not torch.isfinite(self.std).all() or not (self.std > 0).all():
            raise IptError(f"a Gaussian prior needs a finite mean and a std above 0, not mean={mean}, std={std}")
        check_affine(scale, offset)
        self.scale, self.offset = float(scale), float(offset)
        if physical:
            self.mean, self.std = (self.mean - self.offset) / self.scale, self.std / abs(self.scale)

    def normalization(self, shape: tuple[int, ...]) -> Normalization:
        for name, value in (("mean", self.mean), ("std", self.std)):
            try:
                fits = torch.broadcast_shapes(value.shape, shape) == tuple(shape)
            except RuntimeError:
                fits = False
            if not fits:
                raise IptError(
                    f"the prior's {name} is of shape {tuple(value.shape)}, the quantity {tuple(shape)}: "
                    f"give a {name} that broadcasts to it"
                )
        return Normalization(tuple(shape), tuple(shape), self.scale, self.offset)

    def denoise(self, noisy: Tensor, sigma: float) -> Tensor:
        """The exact conditional mean, mean + std^2 / (std^2 + sigma^2) (noisy - mean)."""
        gain = 1 / (1 + (sigma / self.std) ** 2)
        mean = self.mean.to(noisy)
        return mean + gain.to(noisy) * (noisy - mean)

    def posterior(self, noisy: Tensor, sigma: float) -> Posterior:
        """With the exact variance, averaged over the entries where their std differs."""
        variance = sigma**2 / (1 + (sigma / self.std) ** 2)
        return Posterior(self.denoise(noisy, sigma), Isotropic.like(noisy, math.sqrt(float(variance.mean()))))


class BoxPrior(Prior):
    """Independent entries, uniform in a range, of any shape.

    Args:
        low: lower end of the range, in physical units; normalized -1.
        high: upper end of the range, above `low`; normalized 1.

    Raises:
        IptError: a range that is empty or not finite.
    """

    def __init__(self, low: float = 0.0, high: float = 1.0):
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise IptError(f"a box prior needs low < high, both finite, not low={low}, high={high}")
        self.low, self.high = float(low), float(high)

    def normalization(self, shape: tuple[int, ...]) -> Normalization:
        scale, offset = (self.high - self.low) / 2, (self.high + self.low) / 2
        return Normalization(tuple(shape), tuple(shape), scale, offset)

    def denoise(self, noisy: Tensor, sigma: float) -> Tensor:
        """The mean of a normal distribution of mean `noisy` and standard deviation sigma, truncated to -1..1.

        Its derivative is the variance of the truncated distribution over sigma^2 (Tweedie's second-order formula).
        """
        with torch.no_grad():
            double = noisy.double()
            mean, variance = _truncated(double, sigma)
            slope = (variance / sigma**2).clamp(0, 1).to(noisy.dtype)
            mean = mean.clamp(-1, 1).to(noisy.dtype)
        if not (noisy.requires_grad and torch.is_grad_enabled()):
            return mean
        # The last term is 0, and has the derivative.
        return mean + slope * (noisy - noisy.detach())

    def posterior(self, noisy: Tensor, sigma: float) -> Posterior:
        """With an upper bound of the variance: that of the best linear estimate, as for a Gaussian of variance 1/3."""
        return Posterior(self.denoise(noisy, sigma), Isotropic.like(noisy, sigma / math.sqrt(1 + 3 * sigma**2)))


def _truncated(centre: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """Mean and variance of N(centre, sigma^2) truncated to -1..1; float64.

    Where the normal is wide and its centre near, the density over the box is nearly constant, and the textbook formula
    suffers from cancellation: there by quadrature. Elsewhere by the scaled complementary error function, which neither
    overflows nor underflows.
    """
    mean, variance = _by_tails(centre, sigma)
    tilt = centre / sigma**2
    if sigma >= 1:
        flat_mean, flat_variance = _by_quadrature(tilt.clamp(-20, 20), sigma)
        flat = tilt.abs() <= 20
        mean, variance = torch.where(flat, flat_mean, mean), torch.where(flat, flat_variance, variance)
    return mean, variance


def _by_tails(centre: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """With x = |centre| - sigma t, t in near..far: E[t] = (phi(near) - phi(far)) / (Phi(far) - Phi(near))."""
    distance = centre.abs()
    near, far = (distance - 1) / sigma, (distance + 1) / sigma
    # phi(far) / phi(near): far^2 - near^2 = 4 |centre| / sigma^2.
    fall = (-2 * distance / sigma**2).exp()
    mass = math.sqrt(math.pi / 2) * (
        torch.special.erfcx(near / math.sqrt(2)) - fall * torch.special.erfcx(far / math.sqrt(2))
    )
    # Deep inside the box the mass is infinite on this scale, and the truncation has no effect.
    first = (1 - fall) / mass
    second = torch.where(torch.isinf(mass), torch.zeros_like(mass), (near - far * fall) / mass)
    inner, spread = distance - sigma * first, 1 + second - first.square()
    # Far outside, both are small differences of large numbers; t - near is then nearly exponential with mean 1 / near.
    distant = near > 1e3
    inner = torch.where(distant, 1 - sigma * (1 / near - 2 / near**3), inner)
    spread = torch.where(distant, 1 / near.square(), spread)
    return inner * torch.where(centre < 0, -1.0, 1.0), sigma**2 * spread


def _by_quadrature(tilt: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """Mean and variance of the density exp(tilt x - x^2 / (2 sigma^2)) on -1..1, by Gauss-Legendre quadrature."""
    moments = [torch.zeros_like(tilt) for _ in range(3)]
    for node, weight in _nodes():
        # The nodes x and -x together: even and odd part of the density.
        even = weight * math.exp(-0.5 * (node / sigma) ** 2) * (tilt * node).cosh()
        odd = weight * math.exp(-0.5 * (node / sigma) ** 2) * (tilt * node).sinh()
        for total, value in zip(moments, (even, node * odd, node**2 * even), strict=True):
            total += value
    mean = moments[1] / moments[0]
    return mean, moments[2] / moments[0] - mean.square()


@cache
def _nodes() -> tuple[tuple[float, float], ...]:
    """The positive nodes of a 32-point rule with their weights; exact to rounding for tilts up to 20."""
    places, weights = np.polynomial.legendre.leggauss(32)
    return tuple((float(x), float(w)) for x, w in zip(places, weights, strict=True) if x > 0)
