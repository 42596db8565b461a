"""Stationary Gaussian random fields: all that is known of them is their covariance, a function of the lag.

On a frame their covariance is a block Toeplitz matrix. Put on a periodic canvas of twice the frame's sides, where it is
diagonal in the Fourier basis, it is applied exactly by two FFTs (Dietrich, Newsam, "Fast and exact simulation of
stationary Gaussian processes through circulant embedding of the covariance matrix", SIAM Journal on Scientific
Computing 18, 1997).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import cache, lru_cache

import torch
from torch import Tensor

from ipt.linalg.covariances import Diagonalized


class StationaryField(ABC):
    """A Gaussian field of mean zero with a covariance that depends on the lag alone and is even in it. Hashable, so
    that what is computed from it can be kept."""

    @abstractmethod
    def covariance(self, rows: Tensor, columns: Tensor) -> Tensor:
        """E[u_i(p + lag) u_j(p)], (C, C, *shape) float64, for lags in pixels, rows and columns of one shape."""

    @property
    def rms(self) -> float:
        """Root mean square of an entry, over the components."""
        zero = torch.zeros(())
        return math.sqrt(float(self.covariance(zero, zero).diagonal().mean()))

    def embedding(self, frame: tuple[int, int]) -> Tensor:
        """The transform of the covariance on a canvas of twice the frame's sides, (C, C, 2 H, W + 1) float64, with
        which `filtered` applies the covariance exactly. It may have negative eigenvalues: it is no spectrum."""
        return _embedding(self, (int(frame[0]), int(frame[1])))

    def spectrum(self, shape: tuple[int, int]) -> Tensor:
        """Variance a frequency on a frame (H, W), (C, C, H, W // 2 + 1) float64: E[U_i(k) conj(U_j(k))] / (H W) of the
        Fourier transform U, exact, with what leaks over the frame's edges. Positive; its mean over all H W
        frequencies is the covariance of an entry."""
        return _spectrum(self, (int(shape[0]), int(shape[1])))

    def cosine_power(self, frame: tuple[int, int]) -> Tensor:
        """Variance of every coefficient of the orthonormal cosine transform (`cosines`) of a field on a frame, (C, H,
        W) float64, exact. Cosines, which see no jump from an edge to the opposite one, come near to diagonalising a
        smooth covariance, where the Fourier basis does not."""
        return _cosine_power(self, (int(frame[0]), int(frame[1])))


class FieldSource(ABC):
    """What draws (nearly) stationary Gaussian fields, and can describe them."""

    @property
    @abstractmethod
    def field(self) -> StationaryField:
        """The statistics of what is drawn, in its units."""


def filtered(spectrum: Tensor, fields: Tensor, size: tuple[int, int]) -> Tensor:
    """Fields (B, C, H, W), continued by zeros over a canvas (P, Q), multiplied by a spectrum (C, C, P, Q // 2 + 1), and
    cut to their frame again."""
    height, width = fields.shape[-2:]
    kind = torch.complex128 if fields.dtype == torch.float64 else torch.complex64
    turned = torch.fft.rfft2(fields, s=size)
    turned = torch.einsum("ijhw,bjhw->bihw", spectrum.to(fields.device, kind), turned)
    return torch.fft.irfft2(turned, s=size)[..., :height, :width]


def doubled(frame: tuple[int, ...]) -> tuple[int, int]:
    """The canvas of `StationaryField.embedding`."""
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
    return torch.fft.rfft2(_doubled_covariance(field, frame)).real


@lru_cache(maxsize=64)
def _spectrum(field: StationaryField, frame: tuple[int, int]) -> Tensor:
    height, width = frame
    covariance = _doubled_covariance(field, frame)
    # A pair of pixels at a lag of i rows is found H - |i| times in H rows; modulo H, i and i - H are one.
    for axis, side in ((-2, height), (-1, width)):
        share = torch.arange(side, dtype=covariance.dtype) / side
        share = share[:, None] if axis == -2 else share
        near, far = covariance.split(side, axis)
        covariance = (1 - share) * near + share * far
    return torch.fft.rfft2(covariance).real


@lru_cache(maxsize=64)
def _cosine_power(field: StationaryField, frame: tuple[int, int]) -> Tensor:
    covariance = _doubled_covariance(field, frame).diagonal(dim1=0, dim2=1).movedim(-1, 0)
    # How often a basis vector's entries are found a lag apart, weighed by their product.
    down, right = (torch.fft.irfft(torch.fft.rfft(cosines(side), 2 * side).abs().square()) for side in frame)
    return (down @ covariance @ right.T).clamp(min=1e-12)


def _doubled_covariance(field: StationaryField, frame: tuple[int, int]) -> Tensor:
    rows, columns = (torch.fft.fftfreq(2 * side, 0.5 / side, dtype=torch.float64) for side in frame)
    return field.covariance(*torch.meshgrid(rows, columns, indexing="ij"))
