"""Second-order statistics of pictures and of a denoiser's errors: the power spectrum, in luminance and chrominance.

Natural images have a power spectrum S(f) that falls like f^-2.7. (Field, "Relations between the statistics of natural
images and the response properties of cortical cells", 1987, finds about f^-2 for scenes; for faces it falls faster.) So
the error of a denoiser of pictures with noise of level s has about the spectrum E = S s^2 / (S + s^2) of Wiener's
filter, nearly all of it at low frequencies. On 64 training faces the shipped network's error is .3 to 1.3 times that,
from s = .05 to 20 (benchmarks/error_spectrum.py). Colour channels share most of their variance, and are decorrelated by
an orthonormal change to luminance and chrominance.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from ipt.linalg.covariances import Covariance

SPECTRUM = (0.00025, 2.7)
"""(a, b) of S(f) = a f^-b, for pictures in 0..1 and f in cycles per pixel; fitted to the training faces."""
LUMINANCE, CHROMINANCE = 2.4, 0.3
"""Their spectra over the mean spectrum of the channels; fitted to the training faces."""


def frequency_axes(size: tuple[int, int], like: Tensor) -> tuple[Tensor, Tensor]:
    """Frequencies of a half spectrum in cycles per pixel: of its rows, (H, 1), and of its columns, (W // 2 + 1,)."""
    return _axes(size, like.dtype, like.device)


def frequencies(size: tuple[int, int], like: Tensor) -> Tensor:
    """Radial frequency in cycles per pixel, (H, W // 2 + 1); at the origin half of the lowest one.

    The result is cached, and must not be changed in place.
    """
    return _frequencies(size, like.dtype, like.device)


def _axes(size: tuple[int, int], dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    rows = torch.fft.fftfreq(size[0], dtype=dtype, device=device)[:, None]
    return rows, torch.fft.rfftfreq(size[1], dtype=dtype, device=device)


@lru_cache(maxsize=32)
def _frequencies(size: tuple[int, int], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.hypot(*_axes(size, dtype, device)).clamp(min=0.5 / max(size))


def wiener_error(frequency: Tensor, channels: int, level: float) -> Tensor:
    """E(f) of a picture in 0..1, in the basis of `to_luma_chroma`, (C, *frequency.shape).

    Args:
        frequency: in cycles per pixel.
        channels: number of the picture's channels.
        level: noise level through which it was seen, in units of 0..1; infinite: not at all.
    """
    return _wiener(_spectrum(frequency, channels), level)


def picture_error(size: tuple[int, int], channels: int, level: float, like: Tensor) -> Tensor:
    """`wiener_error` at the frequencies of pictures of a size, (C, H, W // 2 + 1).

    The result may be cached, and must not be changed in place.

    Args:
        size: (height, width) of the picture.
        channels: number of its channels.
        level: noise level through which it was seen, in units of 0..1; infinite: not at all.
        like: a tensor of the wanted type and device.
    """
    return _wiener(_picture_spectrum(size, channels, like.dtype, like.device), level)


@lru_cache(maxsize=8)
def _picture_spectrum(size: tuple[int, int], channels: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return _spectrum(_frequencies(size, dtype, device), channels)


def _spectrum(frequency: Tensor, channels: int) -> Tensor:
    """S(f) in luminance and chrominance, (C, *frequency.shape)."""
    amplitude, exponent = SPECTRUM
    shares = [LUMINANCE] + [CHROMINANCE] * (channels - 1) if channels > 1 else [1.0]
    return amplitude * frequency**-exponent * frequency.new_tensor(shares)[:, None, None]


def _wiener(spectrum: Tensor, level: float) -> Tensor:
    """Spectrum of the error of Wiener's filter, given that of the signal and the level of white noise."""
    return spectrum if math.isinf(level) else spectrum * level**2 / (spectrum + level**2)


class SpectralCovariance(Covariance):
    """The covariance of a denoiser's errors, with the spectrum of `wiener_error`, for pictures of any size.

    Args:
        sigma: noise level through which the pictures were seen, in units of 0..1.
        variance: mean variance of an entry, (B, 1, 1, 1).
    """

    def __init__(self, sigma: float, variance: Tensor):
        self.sigma, self._variance = sigma, variance

    @property
    def variance(self) -> Tensor:
        return self._variance

    def root(self, white: Tensor) -> Tensor:
        return self._filtered(self._variance.sqrt() * white, 0.5)

    def root_transposed(self, vector: Tensor) -> Tensor:
        return self.root(vector)

    def solve(self, vector: Tensor) -> Tensor:
        return self._filtered(vector / self._variance, -1.0)

    def scaled(self, factor: float) -> SpectralCovariance:
        return SpectralCovariance(self.sigma, factor**2 * self._variance)

    def _filtered(self, picture: Tensor, exponent: float) -> Tensor:
        """A picture filtered by a power of the error's spectrum, which is normalised to mean 1."""
        size = (picture.shape[-2], picture.shape[-1])
        # The mean is about as uncertain as the lowest frequency (benchmarks/error_spectrum.py).
        frequency = frequencies(size, picture).clamp(min=1 / max(size))
        power = wiener_error(frequency, picture.shape[1], self.sigma)
        # In the mean over all frequencies, inner columns of the half spectrum count for two.
        twice = torch.full_like(power, 2.0)
        twice[..., 0] = 1
        if size[1] % 2 == 0:
            twice[..., -1] = 1
        gain = (power / ((twice * power).sum() / twice.sum())) ** exponent
        return from_luma_chroma(torch.fft.irfft2(gain * torch.fft.rfft2(to_luma_chroma(picture)), s=size))


def to_luma_chroma(picture: Tensor) -> Tensor:
    """Channels (B, C, H, W) -> luminance, then chrominance, (B, C, H, W), by an orthonormal transform."""
    if picture.shape[1] == 1:
        return picture
    return torch.einsum("ij,bjhw->bihw", basis(picture.shape[1], picture), picture)


def from_luma_chroma(picture: Tensor) -> Tensor:
    """The inverse of `to_luma_chroma`, which is also its adjoint."""
    if picture.shape[1] == 1:
        return picture
    return torch.einsum("ji,bjhw->bihw", basis(picture.shape[1], picture), picture)


def basis(channels: int, like: Tensor) -> Tensor:
    """The discrete cosine transform over channels, (C, C); its first row is the mean of the channels times sqrt(C)."""
    place = (torch.arange(channels).to(like) + 0.5) * math.pi / channels
    rows = (torch.arange(channels).to(like)[:, None] * place).cos() * math.sqrt(2 / channels)
    rows[0] /= math.sqrt(2)
    return rows
