"""The camera that looks through turbulence, and its point spread function by D/r0.

With nu = spatial frequency over the aperture's cutoff D / lambda, the transfer function is that of the aperture times
that of the turbulence (Fried, "Optical resolution through a randomly inhomogeneous medium for very long and very short
exposures", Journal of the Optical Society of America 56, 1966):

    aperture          (2 / pi) (acos nu - nu sqrt(1 - nu^2))
    long exposure     exp(-3.44 (D / r0)^(5/3) nu^(5/3))
    short exposure    exp(-3.44 (D / r0)^(5/3) nu^(5/3) (1 - nu^(1/3)))    the mean tilt of each exposure taken out
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.core.errors import IptError
from ipt.core.operator import Generator
from ipt.operators.draws import interval, positive, uniform_and_normal

EXPOSURES = ("short", "long")


@dataclass(frozen=True)
class Camera:
    """What a camera resolves.

    Args:
        aperture: diameter in metres.
        wavelength: in metres.
        pixel: the angle it sees in microradians (pixel pitch over focal length: 5 um at 1 m are 5); None: half of
            wavelength / aperture, which misses nothing that the aperture resolves.
    """

    aperture: float = 0.1
    wavelength: float = 550e-9
    pixel: float | None = None

    def __post_init__(self) -> None:
        positive("aperture", self.aperture, "metres")
        positive("wavelength", self.wavelength, "metres")
        if not 1e-8 < self.wavelength < 1e-2:
            raise IptError(f"wavelength is in metres, visible light about 550e-9, not {self.wavelength}")
        if self.pixel is not None:
            positive("pixel", self.pixel, "microradians")

    @property
    def angle(self) -> float:
        """What a pixel sees, in radians."""
        return self.wavelength / self.aperture / 2 if self.pixel is None else 1e-6 * self.pixel

    @property
    def cutoff(self) -> float:
        """The highest frequency that the aperture lets through, in cycles a pixel."""
        return self.angle * self.aperture / self.wavelength


class AtmosphericKernels(Generator):
    """Point spread functions through Kolmogorov turbulence, round, with the pixel's own aperture.

    Args:
        d_over_r0: aperture over Fried's parameter, (low, high) drawn log-uniformly a kernel, or one number.
        exposure: short, from which the tilt is taken out, as `tilt` is an unknown of its own; or long.
        aperture: diameter in metres.
        wavelength: in metres.
        pixel: the angle a pixel sees, in microradians; None: half of wavelength / aperture.
    """

    def __init__(
        self,
        d_over_r0: tuple[float, float] | float = (1.0, 4.0),
        exposure: str = "short",
        aperture: float = 0.1,
        wavelength: float = 550e-9,
        pixel: float | None = None,
    ):
        if exposure not in EXPOSURES:
            raise IptError(f"exposure is one of {', '.join(EXPOSURES)}, not {exposure!r}")
        self.d_over_r0 = interval("d_over_r0", d_over_r0, 1e-3, 1e3)
        self.exposure = exposure
        self.camera = Camera(aperture, wavelength, pixel)

    def sample(self, seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
        height, width = shape[-2:]
        uniform, _ = uniform_and_normal(seeds, 1, 0)
        low, high = self.d_over_r0
        ratio = (low * (high / low) ** uniform[:, 0].double())[:, None, None]
        # Odd sides, so that the centre pixel has as many on either side.
        odd = height - 1 + height % 2, width - 1 + width % 2
        kernel = self._spread(ratio, odd).clamp(min=0)
        total = kernel.sum((-2, -1), keepdim=True)
        if float(total.min()) < 0.5:
            raise IptError(
                f"less than half of the light falls within a kernel of {height}x{width}: give a larger one with "
                f"operator.kernel_size=N, a smaller d_over_r0, or a larger pixel"
            )
        return F.pad(kernel / total, (width - odd[1], 0, height - odd[0], 0))[:, None].float()

    def _spread(self, ratio: Tensor, sides: tuple[int, int]) -> Tensor:
        """The share of light of every pixel, (B, h, w), sides odd."""
        # As fine as the aperture resolves, and so far that little comes back around the edges.
        finer = max(1, math.ceil(2 * self.camera.cutoff))
        size = [4 * side * finer for side in sides]
        rows = torch.fft.fftfreq(size[0], 1 / finer, dtype=torch.float64)[:, None]
        columns = torch.fft.rfftfreq(size[1], 1 / finer, dtype=torch.float64)
        nu = (torch.hypot(rows, columns) / self.camera.cutoff).clamp(max=1)
        aperture = 2 / math.pi * (nu.acos() - nu * (1 - nu.square()).sqrt())
        left = 1 - nu ** (1 / 3) if self.exposure == "short" else 1.0
        turbulence = torch.exp(-3.44 * ratio ** (5 / 3) * nu ** (5 / 3) * left)
        spread: Tensor = torch.fft.irfft2(aperture * turbulence * torch.sinc(rows) * torch.sinc(columns), s=size)
        spread = finer**2 * spread[:, ::finer, ::finer]
        return spread.roll((sides[0] // 2, sides[1] // 2), dims=(-2, -1))[:, : sides[0], : sides[1]]
