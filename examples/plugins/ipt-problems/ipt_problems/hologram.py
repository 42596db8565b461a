"""A hologram: photons counted where the light of an object meets that of a point source, whose place is unknown.

    y ~ Poisson(counts |P(x) + exp(i pi |r - p|^2 / area)|^2)

P is the Fresnel propagation of the object's amplitude x over the same distance, `area` the wavelength times it
(Goodman, "Introduction to Fourier Optics", sections 4.2 and 11). The measurement is in photons, and has the noise of
counts.
"""

import math

import torch
from torch import Tensor

import ipt


class Hologram(ipt.ParametricOperator, ipt.PhysicalUnits):
    """Attributes.

    Args:
        area: wavelength times distance, in pixels squared.
        counts: photons of the reference alone, a pixel.
    """

    def __init__(self, area: float = 1200.0, counts: float = 400.0):
        self.area, self.counts = area, counts

    def measured(self) -> ipt.MeasurementSpec:
        return ipt.MeasurementSpec("intensity", "photons", gain=1.0)

    def parameters(self, image_shape: tuple[int, ...]) -> dict[str, ipt.ParameterSpec]:
        meaning = "of the source from the middle, down and to the right"
        return {
            "point": ipt.ParameterSpec((2, 1, 1), meaning, "px", range=(-12, 12), generator="uniform:low=-8,high=8")
        }

    def forward(self, image: Tensor, point: Tensor) -> Tensor:  # type: ignore[override]
        height, width = image.shape[-2:]
        down, across = ((torch.arange(side).to(image) - (side - 1) / 2) for side in (height, width))
        squared = (down[:, None] - point[:, :1]).square() + (across - point[:, 1:]).square()
        reference = torch.exp(1j * math.pi * squared / self.area)
        v, u = (torch.fft.fftfreq(side).to(image) for side in (height, width))
        transfer = torch.exp(-1j * math.pi * self.area * (v[:, None].square() + u.square()))
        return self.counts * (torch.fft.ifft2(transfer * torch.fft.fft2(image)) + reference).abs().square()
