"""The kernel by what is left of a picture's spectrum."""

from __future__ import annotations

import torch

from ipt.linalg.point_spreads import point_spread
from ipt.operators.turbulence import spectrum
from ipt.operators.turbulence.atmosphere import AtmosphericKernels
from ipt.operators.turbulence.spectrum import estimate_kernel

SIDES = (17, 17)


def exposures(kernel, side=128, slope=2.1, noise=0.01):
    """Two of a random picture whose power falls like f^-slope, blurred; (2, 1, side, side)."""
    random = torch.Generator().manual_seed(3)
    rows, columns = torch.fft.fftfreq(side)[:, None], torch.fft.rfftfreq(side)
    white = torch.fft.rfft2(torch.randn(side, side, generator=random))
    seen = torch.fft.rfft2(torch.nn.functional.pad(kernel, (0, side - 17, 0, side - 17)))
    picture = torch.fft.irfft2(white * seen * torch.hypot(rows, columns).clamp(min=1 / side) ** (-slope / 2))
    picture = 0.5 + 0.15 * picture / picture.std()
    return picture + noise * torch.randn(2, 1, side, side, generator=random)


def test_kernels_are_told_apart_and_about_right():
    found = []
    for ratio in (1.0, 4.0):
        (true,) = AtmosphericKernels(ratio).sample([0], (1, *SIDES))
        kernel = estimate_kernel(exposures(true[0]), 0.01, SIDES)
        assert kernel.shape == (1, *SIDES) and kernel.min() >= 0 and abs(kernel.sum() - 1) < 1e-5
        torch.testing.assert_close(kernel, kernel.flip(1, 2), atol=1e-6, rtol=0)
        assert (kernel - true).norm() < 0.35 * true.norm()
        found.append(kernel.max())
    assert found[0] > 2 * found[1]


def test_the_kernel_s_inverse_is_wrong_by_less_than_that_of_the_mean():
    ratio = torch.tensor([0.5, 4.0]).double()
    kernels = point_spread(ratio, torch.full((2,), 0.5).double(), SIDES).clamp(min=0)
    kernels = kernels / kernels.sum((-2, -1), keepdim=True)
    weights = torch.tensor([0.3, 0.7]).double()
    best, mean = spectrum._least_loss(kernels, weights), torch.tensordot(weights, kernels, 1)
    assert abs(best.sum() - 1) < 1e-9 and best.min() >= 0 and best.max() > mean.max()

    def loss(kernel):
        """Of pictures with a spectrum that falls like f^-2."""
        rows, columns = torch.fft.fftfreq(64).double()[:, None], torch.fft.rfftfreq(64).double()
        frequency = torch.hypot(rows, columns).clamp(min=1 / 64)
        own, true = (torch.fft.rfft2(one, s=(64, 64)) for one in (kernel, kernels))
        wrong = torch.tensordot(weights, (1 - true / own).abs().square(), 1)
        return float((wrong * (frequency < 0.3) / frequency**2).sum())

    assert loss(best) < 0.95 * loss(mean)
