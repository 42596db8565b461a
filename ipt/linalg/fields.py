"""Stationary Gaussian random fields, described by their covariance as a function of the lag.

On a frame the covariance is a block Toeplitz matrix. Embedded in a periodic frame of twice the sides it is diagonal in
the Fourier basis, so that two FFTs apply it exactly (`filtered`).

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

    Subclasses are hashable, because what is computed from a field is cached.
    """

    @abstractmethod
    def covariance(self, rows: Tensor, columns: Tensor) -> Tensor:
        """E[u_i(p + lag) u_j(p)], (C, C, *shape) float64.

        Args:
            rows: vertical lags in pixels, of any shape.
            columns: horizontal lags in pixels, of the same shape.
        """

    @property
    def rms(self) -> float:
        """Root mean square of the field's entries, over all components."""
        zero = torch.zeros(())
        return math.sqrt(float(self.covariance(zero, zero).diagonal().mean()))

    def embedding(self, frame: tuple[int, int]) -> Tensor:
        """The Fourier transform of the covariance on twice the frame's sides, (C, C, 2 H, W + 1) float64.

        With it `filtered` applies the covariance exactly. It may have negative eigenvalues, so it is no power spectrum.
        """
        return _embedding(self, (int(frame[0]), int(frame[1])))

    def cosine_power(self, frame: tuple[int, int]) -> Tensor:
        """Exact variance of each coefficient of the field's cosine transform on a frame, (C, H, W) float64.

        The cosine basis (`cosines`) nearly diagonalises a smooth covariance. The Fourier basis does not, because it
        sees a jump between opposite edges.
        """
        return _cosine_power(self, (int(frame[0]), int(frame[1])))


@dataclass(frozen=True)
class MaternField(StationaryField):
    """A field of one component with a Matern covariance, nu = 3/2, about a random level.

        E[u(p) u(p + lag)] = level^2 + std^2 (1 + a) exp(-a),    a = sqrt(3) |lag| / length

    Attributes:
        std: standard deviation about the level.
        length: correlation length in pixels; at this lag the correlation is .48.
        level: standard deviation of the level, which is constant over the frame.
    """

    std: float = 1.0
    length: float = 8.0
    level: float = 0.0

    def covariance(self, rows: Tensor, columns: Tensor) -> Tensor:
        away = math.sqrt(3) * torch.hypot(rows.double(), columns.double()) / self.length
        return (self.level**2 + self.std**2 * (1 + away) * (-away).exp())[None, None]


class FieldSource(ABC):
    """A generator of (nearly) stationary Gaussian fields that can describe their statistics."""

    @property
    @abstractmethod
    def field(self) -> StationaryField:
        """The statistics of the fields that are drawn, in their units."""


def filtered(spectrum: Tensor, fields: Tensor, size: tuple[int, int]) -> Tensor:
    """Fields multiplied by a spectrum in the Fourier domain, (B, C, H, W).

    Args:
        spectrum: (C, C, P, Q // 2 + 1).
        fields: (B, C, H, W), extended by zeros to `size`.
        size: (P, Q).
    """
    height, width = fields.shape[-2:]
    kind = torch.complex128 if fields.dtype == torch.float64 else torch.complex64
    transform = torch.einsum("ijhw,bjhw->bihw", spectrum.to(fields.device, kind), torch.fft.rfft2(fields, s=size))
    whole: Tensor = torch.fft.irfft2(transform, s=size)
    return whole[..., :height, :width]


def doubled(frame: tuple[int, ...]) -> tuple[int, int]:
    """(2 H, 2 W), the size of the periodic frame of `StationaryField.embedding`."""
    return 2 * frame[-2], 2 * frame[-1]


@cache
def cosines(side: int) -> Tensor:
    """The orthonormal cosine transform (DCT-II) of a line as a matrix, (frequency, place) float64."""
    frequency, place = torch.arange(side, dtype=torch.float64)[:, None], torch.arange(side, dtype=torch.float64) + 0.5
    rows = (math.pi * frequency * place / side).cos() * math.sqrt(2 / side)
    rows[0] /= math.sqrt(2)
    return rows


def cosine_covariance(power: Tensor, variance: Tensor | None = None) -> Diagonalized:
    """The covariance of fields (B, C, H, W) whose cosine coefficients are independent.

    Args:
        power: variance of each coefficient, (B, C, H, W).
        variance: mean variance of an entry, (B, 1, 1, 1); None: the mean of `power`.
    """
    down, right = (cosines(side).to(power) for side in power.shape[-2:])
    return Diagonalized(power, lambda field: down @ field @ right.T, lambda values: down.T @ values @ right, variance)


@lru_cache(maxsize=64)
def _embedding(field: StationaryField, frame: tuple[int, int]) -> Tensor:
    transform: Tensor = torch.fft.rfft2(_doubled_covariance(field, frame))
    # A copy, because the real part of a complex tensor keeps all of it in memory.
    return transform.real.clone()


@lru_cache(maxsize=64)
def _cosine_power(field: StationaryField, frame: tuple[int, int]) -> Tensor:
    covariance = _doubled_covariance(field, frame).diagonal(dim1=0, dim2=1).movedim(-1, 0)
    # The variance of a coefficient is the sum over lags of the covariance times the basis vector's autocorrelation.
    down, right = (torch.fft.irfft(torch.fft.rfft(cosines(side), 2 * side).abs().square()) for side in frame)
    power: Tensor = down @ covariance @ right.T
    return power.clamp(min=1e-12)


def _doubled_covariance(field: StationaryField, frame: tuple[int, int]) -> Tensor:
    """The covariance at all lags of a periodic frame of twice the sides, (C, C, 2 H, 2 W)."""
    rows, columns = (torch.fft.fftfreq(2 * side, 0.5 / side, dtype=torch.float64) for side in frame)
    return field.covariance(*torch.meshgrid(rows, columns, indexing="ij"))
