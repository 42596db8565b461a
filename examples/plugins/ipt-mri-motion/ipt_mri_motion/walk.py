"""A random walk about its mean: the sum of independent normal moves, `rms` pixels each, less the mean of the sums.

It is Gaussian, so its denoiser is a matrix, diagonal in the eigenvectors of its covariance, and what the denoiser
leaves uncertain has a covariance as exact, which the general Gauss-Newton steps use.
"""

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

import ipt
from ipt.linalg.covariances import Diagonalized


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

    def normalization(self, shape: tuple[int, ...]) -> ipt.Normalization:
        return ipt.Normalization(shape, shape)

    def denoise(self, noisy: Tensor, sigma: float) -> Tensor:
        power, vectors = self._power(noisy)
        return vectors @ (power / (power + sigma**2) * (vectors.T @ noisy))

    def posterior(self, noisy: Tensor, sigma: float) -> ipt.Posterior:
        power, vectors = self._power(noisy)
        left = (power * sigma**2 / (power + sigma**2)).clamp(min=1e-9)
        covariance = Diagonalized(left, lambda walk: vectors.T @ walk, lambda values: vectors @ values)
        return ipt.Posterior(self.denoise(noisy, sigma), covariance)

    def _power(self, like: Tensor) -> tuple[Tensor, Tensor]:
        values, vectors = modes(like.shape[-2])
        return values[None, None, :, None].to(like) * self.rms**2, vectors.to(like)


class Walks(ipt.Generator):
    """rms: of a move, in pixels."""

    def __init__(self, rms: float = 0.25):
        self.rms = rms

    def sample(self, seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
        moves = torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
        walk = self.rms * moves.cumsum(dim=-2)
        return walk - walk.mean(dim=-2, keepdim=True)
