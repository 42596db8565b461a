"""A random walk about its mean: the sum of independent normal moves, `rms` pixels each, less the mean of the sums.

It is Gaussian, so its denoiser is a matrix, diagonal in the eigenvectors of its covariance, and what the denoiser
leaves uncertain has a covariance as exact, which the general Gauss-Newton steps use.
"""

import math
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

import ipt
from ipt.core.charts import Chart
from ipt.core.interfaces import Spread

NOMINAL = 64
"""Lines for which the uncertainty of an entry is told."""


@cache
def modes(lines: int) -> tuple[Tensor, Tensor]:
    """Eigenvalues and eigenvectors of the covariance of a walk with moves of 1 px; float64."""
    sums = torch.ones(lines, lines, dtype=torch.float64).tril()
    walk = sums - sums.mean(0)
    values, vectors = torch.linalg.eigh(walk @ walk.T)
    return values.clamp(min=0), vectors


class RandomWalk(ipt.Prior):
    """rms: of a move, in pixels."""

    def __init__(self, rms: float = 0.25):
        self.rms = rms

    def chart(self, physical_shape: tuple[int, ...]) -> Chart:
        return Chart(physical_shape, physical_shape)

    def denoise(self, noisy: Tensor, sigma: float) -> Tensor:
        power, vectors = self._power(noisy)
        return vectors @ (power / (power + sigma**2) * (vectors.T @ noisy))

    def uncertainty(self, sigma: float) -> float:
        power = modes(NOMINAL)[0] * self.rms**2
        return math.sqrt(float((power * sigma**2 / (power + sigma**2)).mean()))

    def spread(self, noisy: Tensor, sigma: float) -> Spread:
        power, vectors = self._power(noisy)
        root = (power * sigma**2 / (power + sigma**2)).sqrt()
        return Spread(lambda v: vectors @ (root * v), lambda u: root * (vectors.T @ u))

    def _power(self, like: Tensor) -> tuple[Tensor, Tensor]:
        values, vectors = modes(like.shape[-2])
        return values[:, None].to(like) * self.rms**2, vectors.to(like)


class Walks(ipt.Generator):
    """rms: of a move, in pixels."""

    def __init__(self, rms: float = 0.25):
        self.rms = rms

    def sample(self, seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
        moves = torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
        walk = self.rms * moves.cumsum(dim=-2)
        return walk - walk.mean(dim=-2, keepdim=True)
