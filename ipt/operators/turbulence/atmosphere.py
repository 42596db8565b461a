"""A camera that looks through turbulence, and its point spread functions (`ipt.linalg.point_spreads`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ipt.core.errors import IptError
from ipt.core.operator import Generator
from ipt.linalg.point_spreads import odd, point_spread
from ipt.operators.draws import check_positive, interval, log_uniform, uniform_and_normal

EXPOSURES = ("short", "long")


@dataclass(frozen=True)
class Camera:
    """Aperture and sampling of a camera.

    Args:
        aperture: diameter in metres, above 0.
        wavelength: in metres, 1e-8 to 1e-2.
        pixel: angle that a pixel spans in microradians (pixel pitch over focal length: 5 um at 1 m are 5); None: half
            of wavelength / aperture, which samples everything that the aperture resolves.

    Raises:
        IptError: a value out of range.
    """

    aperture: float = 0.1
    wavelength: float = 550e-9
    pixel: float | None = None

    def __post_init__(self) -> None:
        check_positive("aperture", self.aperture, "metres")
        check_positive("wavelength", self.wavelength, "metres")
        if not 1e-8 < self.wavelength < 1e-2:
            raise IptError(f"wavelength is in metres, visible light about 550e-9, not {self.wavelength}")
        if self.pixel is not None:
            check_positive("pixel", self.pixel, "microradians")

    @property
    def angle(self) -> float:
        """Angle that a pixel spans, in radians."""
        return self.wavelength / self.aperture / 2 if self.pixel is None else 1e-6 * self.pixel

    @property
    def cutoff(self) -> float:
        """Highest frequency that the aperture transmits, in cycles per pixel."""
        return self.angle * self.aperture / self.wavelength

    def ratio(self, cn2: float, distance: float) -> float:
        """D / r0 for a spherical wave: r0 = (.423 k^2 Cn2 (3/8) L)^(-3/5), with Cn2 constant along the path.

        Args:
            cn2: refractive index structure constant, in m^(-2/3).
            distance: L, from the camera to the scene, in metres.

        References:
            Fried, "Limiting resolution looking down through the atmosphere", Journal of the Optical Society of America
            56, 1966.
        """
        check_positive("cn2", cn2, "m^(-2/3)")
        check_positive("distance", distance, "metres")
        return float(self.aperture * (0.423 * (2 * math.pi / self.wavelength) ** 2 * cn2 * 0.375 * distance) ** 0.6)


class AtmosphericKernels(Generator):
    """Round point spread functions through Kolmogorov turbulence, with the pixel's aperture.

    Args:
        d_over_r0: aperture over Fried's parameter, (low, high) drawn log-uniformly, or one number.
        exposure: short, without the mean tilt, which is an unknown of its own; or long.
        aperture: diameter in metres.
        wavelength: in metres.
        pixel: angle that a pixel spans, in microradians; None: half of wavelength / aperture.
        cn2: refractive index structure constant in m^(-2/3), constant along the path, in place of d_over_r0.
        distance: from the camera to the scene in metres, for cn2.
    """

    def __init__(
        self,
        d_over_r0: tuple[float, float] | float = (1.0, 4.0),
        exposure: str = "short",
        aperture: float = 0.1,
        wavelength: float = 550e-9,
        pixel: float | None = None,
        cn2: float | None = None,
        distance: float = 1000.0,
    ):
        if exposure not in EXPOSURES:
            raise IptError(f"exposure is one of {', '.join(EXPOSURES)}, not {exposure!r}")
        self.exposure = exposure
        self.camera = Camera(aperture, wavelength, pixel)
        ratio = d_over_r0 if cn2 is None else self.camera.ratio(cn2, distance)
        self.d_over_r0 = interval("d_over_r0", ratio, 1e-3, 1e3)

    def sample(self, seeds: Sequence[int], shape: tuple[int, ...]) -> Tensor:
        height, width = shape[-2:]
        uniform, _ = uniform_and_normal(seeds, 1, 0)
        ratio, sides = log_uniform(self.d_over_r0, uniform[:, 0].double()), odd(shape)
        cutoff = torch.full_like(ratio, self.camera.cutoff)
        kernel = point_spread(ratio, cutoff, sides, self.exposure == EXPOSURES[0]).clamp(min=0)
        total = kernel.sum((-2, -1), keepdim=True)
        if float(total.min()) < 0.5:
            raise IptError(
                f"less than half of the light falls within a kernel of {width} x {height} px: give a larger one with "
                f"operator.kernel_size=N, a smaller d_over_r0, or a larger pixel"
            )
        return F.pad(kernel / total, (width - sides[1], 0, height - sides[0], 0))[:, None].float()
