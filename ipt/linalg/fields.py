"""Stationary Gaussian random fields: all that is known of them is their covariance, a function of the lag.

On a frame their covariance is a block Toeplitz matrix. On a periodic frame of twice the sides, where it is diagonal in
the Fourier basis, it is applied exactly by two FFTs.

References:
    Dietrich, Newsam, "Fast and exact simulation of stationary Gaussian processes through circulant embedding of the
    covariance matrix" (SIAM Journal on Scientific Computing 18, 1997).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache, lru_cache

import torch
from torch import Tensor

from ipt.linalg.covariances import Diagonalized


class StationaryField(ABC):
    """A Gaussian field of mean zero with a covariance that depends on the lag alone and is even in it.

    Hashable, so that what is computed from it can be kept.
    """

    @abstractmethod
    def covariance(self, rows: Tensor, columns: Tensor) -> Tensor:
        """E[u_i(p + lag) u_j(p)], (C, C, *shape) float64, for lags in pixels, rows and columns of one shape."""

    @property
    def rms(self) -> float:
        """Root mean square of an entry, over the components."""
        zero = torch.zeros(())
        return math.sqrt(float(self.covariance(zero, zero).diagonal().mean()))

    def embedding(self, frame: tuple[int, int]) -> Tensor:
        """The transform of the covariance on twice the frame's sides, (C, C, 2 H, W + 1) float64.

        With it `filtered` applies the covariance exactly. It may have negative eigenvalues: it is no spectrum.
        """
        return _embedding(self, (int(frame[0]), int(frame[1])))

    def cosine_power(self, frame: tuple[int, int]) -> Tensor:
        """Variance of every coefficient of the cosine transform of a field on a frame, (C, H, W) float64, exact.

        Cosines (`cosines`), which see no jump from an edge to the opposite one, come near to diagonalising a smooth
        covariance, where the Fourier basis does not.
        """
        return _cosine_power(self, (int(frame[0]), int(frame[1])))


@dataclass(frozen=True)
class MaternField(StationaryField):
    """A field of one component that is smooth but for its curvature (Matern, nu = 3/2), about a level of its own.

        E[u(p) u(p + lag)] = level^2 + std^2 (1 + a) exp(-a),    a = sqrt(3) |lag| / length

    Attributes:
        std: standard deviation about the level.
        length: pixels over which the field stays alike: at this lag its correlation is .48.
        level: standard deviation of the level, which is the same all over the frame.
    """

    std: float = 1.0
    length: float = 8.0
    level: float = 0.0

    def covariance(self, rows: Tensor, columns: Tensor) -> Tensor:
        away = math.sqrt(3) * torch.hypot(rows.double(), columns.double()) / self.length
        return (self.level**2 + self.std**2 * (1 + away) * (-away).exp())[None, None]


class FieldSource(ABC):
    """What draws (nearly) stationary Gaussian fields, and can describe them."""

    @property
    @abstractmethod
    def field(self) -> StationaryField:
        """The statistics of what is drawn, in its units."""


def filtered(spectrum: Tensor, fields: Tensor, size: tuple[int, int]) -> Tensor:
    """Fields (B, C, H, W) multiplied by a spectrum (C, C, P, Q // 2 + 1); size: (P, Q), beyond the frame zeros."""
    height, width = fields.shape[-2:]
    kind = torch.complex128 if fields.dtype == torch.float64 else torch.complex64
    transform = torch.einsum("ijhw,bjhw->bihw", spectrum.to(fields.device, kind), torch.fft.rfft2(fields, s=size))
    whole: Tensor = torch.fft.irfft2(transform, s=size)
    return whole[..., :height, :width]


def doubled(frame: tuple[int, ...]) -> tuple[int, int]:
    """The size of `StationaryField.embedding`."""
    return 2 * frame[-2], 2 * frame[-1]


@cache
def cosines(side: int) -> Tensor:
    """The orthonormal cosine transform (DCT-II) of a line, (frequency, place) float64."""
    frequency, place = torch.arange(side, dtype=torch.float64)[:, None], torch.arange(side, dtype=torch.float64) + 0.5
    rows = (math.pi * frequency * place / side).cos() * math.sqrt(2 / side)
    rows[0] /= math.sqrt(2)
    return rows


def cosine_covariance(power: Tensor, variance: Tensor | None = None) -> Diagonalized:
    """Of fields (B, C, H, W) with independent coefficients in the cosine basis, of these variances."""
    down, right = (cosines(side).to(power) for side in power.shape[-2:])
    return Diagonalized(power, lambda field: down @ field @ right.T, lambda values: down.T @ values @ right, variance)


@lru_cache(maxsize=64)
def _embedding(field: StationaryField, frame: tuple[int, int]) -> Tensor:
    transform: Tensor = torch.fft.rfft2(_doubled_covariance(field, frame))
    # A copy: the part of a complex tensor holds all of it.
    return transform.real.clone()


@lru_cache(maxsize=64)
def _cosine_power(field: StationaryField, frame: tuple[int, int]) -> Tensor:
    covariance = _doubled_covariance(field, frame).diagonal(dim1=0, dim2=1).movedim(-1, 0)
    # How often a basis vector's entries are found a lag apart, weighed by their product.
    down, right = (torch.fft.irfft(torch.fft.rfft(cosines(side), 2 * side).abs().square()) for side in frame)
    power: Tensor = down @ covariance @ right.T
    return power.clamp(min=1e-12)


def _doubled_covariance(field: StationaryField, frame: tuple[int, int]) -> Tensor:
    rows, columns = (torch.fft.fftfreq(2 * side, 0.5 / side, dtype=torch.float64) for side in frame)
    return field.covariance(*torch.meshgrid(rows, columns, indexing="ij"))
