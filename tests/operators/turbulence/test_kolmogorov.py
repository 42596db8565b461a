"""The sampler of Kolmogorov tilts: exact, without drawing anything."""

from __future__ import annotations

import math

import pytest
import torch

from ipt.linalg.tilts import KolmogorovTilt
from ipt.operators.turbulence import kolmogorov


@pytest.mark.parametrize("pixel", [0.01, 0.1, 1.0])
def test_the_kolmogorov_sampler_is_exact(pixel):
    """The covariance of its slow waves and of its fast ones, added, without drawing anything."""
    field, frame = KolmogorovTilt(2.0, pixel), (12, 20)
    size = kolmogorov.padded(frame)
    root = kolmogorov._root(field, size).double()
    fast = torch.fft.irfft2(torch.einsum("ijhw,jkhw->ikhw", root, root).to(torch.complex128), s=size)
    rows, columns, deviation = (part.double() for part in kolmogorov._waves(field, max(frame)))
    lags = torch.meshgrid(*(torch.arange(side, dtype=torch.float64) for side in frame), indexing="ij")
    along = torch.stack([rows, columns]) / torch.hypot(rows, columns) * deviation
    phase = 2 * math.pi * (lags[0][..., None] * rows + lags[1][..., None] * columns)
    found = fast[:, :, : frame[0], : frame[1]] + torch.einsum("ik,jk,hwk->ijhw", along, along, phase.cos())
    torch.testing.assert_close(found, field.covariance(*lags), rtol=0, atol=0.003 * field.strength**2)
