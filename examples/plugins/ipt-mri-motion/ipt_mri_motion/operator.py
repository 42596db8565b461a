"""Cartesian MRI of a patient who moves along the readout direction between one readout and the next.

    k(u, v) = F x (u, v) exp(-2 pi i v s(u)),    s(u) = where the patient is while line u is read, in pixels

Line u of k-space, one readout, sees the picture shifted: a ramp of phase. The measurement is the inverse transform of
k, complex: its real part above, its imaginary part below, each as .5 + .5 value to lie in 0..1. That the picture is
real ties line u to line -u, and tells the difference of their shifts; their mean is left to the priors.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

import ipt


class Motion(ipt.ParametricOperator):
    """Lines are read in the order of their frequency, from the most negative."""

    def image_shape(self, measurement_shape: tuple[int, ...]) -> tuple[int, ...]:
        channels, height, width = measurement_shape
        return channels, height // 2, width

    def parameters(self, image_shape: tuple[int, ...]) -> dict[str, ipt.ParameterSpec]:
        usual = {"prior": "random-walk", "generator": "random-walk"}
        return {"shift": ipt.ParameterSpec((1, image_shape[1], 1), "of each line, mean 0", "px", **usual)}

    def forward(self, image: Tensor, shift: Tensor) -> Tensor:  # type: ignore[override]
        frequency = torch.fft.fftfreq(image.shape[-1], dtype=image.dtype, device=image.device)
        turns = frequency * torch.fft.ifftshift(shift, dim=-2)
        scan = torch.fft.ifft2(torch.fft.fft2(image) * torch.exp(-2j * torch.pi * turns))
        return 0.5 + 0.5 * torch.cat([scan.real, scan.imag], dim=-2)

    def constrain(self, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A shift of all lines is a shift of the picture, and is left to that."""
        shift = parameters["shift"]
        return {"shift": shift - shift.mean(dim=-2, keepdim=True)}
