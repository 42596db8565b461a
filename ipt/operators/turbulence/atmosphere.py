"""The camera that looks through turbulence, and its point spread function by D/r0 (`ipt.linalg.point_spreads`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.core.errors import IptError
from ipt.core.operator import Generator
from ipt.linalg.point_spreads import odd, point_spread
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
        ratio, sides = low * (high / low) ** uniform[:, 0].double(), odd(shape)
        cutoff = torch.full_like(ratio, self.camera.cutoff)
        kernel = point_spread(ratio, cutoff, sides, self.exposure == EXPOSURES[0]).clamp(min=0)
        total = kernel.sum((-2, -1), keepdim=True)
        if float(total.min()) < 0.5:
            raise IptError(
                f"less than half of the light falls within a kernel of {height}x{width}: give a larger one with "
                f"operator.kernel_size=N, a smaller d_over_r0, or a larger pixel"
            )
        return F.pad(kernel / total, (width - sides[1], 0, height - sides[0], 0))[:, None].float()
