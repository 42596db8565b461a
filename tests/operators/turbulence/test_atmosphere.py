"""Point spread functions of turbulence: centred, normalised, and as wide as the formulas say."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.special import j1

from ipt.core.errors import IptError
from ipt.operators.turbulence.atmosphere import EXPOSURES, AtmosphericKernels


@pytest.mark.parametrize("exposure", EXPOSURES)
@pytest.mark.parametrize("shape", [(1, 15, 15), (1, 16, 16), (1, 13, 20), (1, 1, 1), (1, 2, 2)], ids=str)
def test_kernels_are_valid_and_centred(shape, exposure):
    kernels = AtmosphericKernels(0.2, exposure, pixel=20.0).sample(range(3), shape)
    assert kernels.shape == (3, *shape) and kernels.dtype == torch.float32 and (kernels >= 0).all()
    torch.testing.assert_close(kernels.sum((1, 2, 3)), torch.ones(3), atol=1e-6, rtol=0)
    rows, columns = (torch.arange(side) - side // 2 for side in shape[1:])
    assert (kernels[:, 0].sum(2) * rows).sum(1).abs().max() < 1e-5
    assert (kernels[:, 0].sum(1) * columns).sum(1).abs().max() < 1e-5


def test_without_turbulence_it_is_the_airy_disc_seen_by_pixels():
    """Sampled so finely that the pixels' own aperture is nothing: (2 J_1(x) / x)^2 with x = pi D / lambda * angle."""
    kernel = AtmosphericKernels(1e-3, pixel=0.275).sample([0], (1, 101, 101))[0, 0].double()
    angle = torch.arange(1, 51).double() * 0.275e-6
    x = math.pi * 0.1 / 550e-9 * angle
    wanted = (2 * torch.from_numpy(j1(x.numpy())) / x).square()
    torch.testing.assert_close(kernel[50, 51:] / kernel[50, 50], wanted, rtol=0, atol=5e-3)


def test_the_transfer_function_is_frieds():
    """The kernel's own spectrum, on a canvas that holds all of it, over that without turbulence and pixels."""
    nu = torch.arange(1, 10).double() / 10
    # Two pixels a resolution element: the cutoff is half a cycle a pixel.
    place = torch.arange(-150, 151).double()
    wave = (2 * math.pi * 0.5 * nu[:, None] * place).cos()
    aperture = 2 / math.pi * (nu.acos() - nu * (1 - nu**2).sqrt()) * torch.sinc(0.5 * nu)
    for exposure, left in (("long", torch.ones_like(nu)), ("short", 1 - nu ** (1 / 3))):
        kernel = AtmosphericKernels(1.5, exposure).sample([0], (1, 301, 301))[0, 0].double()
        wanted = aperture * torch.exp(-3.44 * (1.5 * nu) ** (5 / 3) * left)
        torch.testing.assert_close(wave @ kernel.sum(0), wanted, rtol=0, atol=0.01)


def test_more_turbulence_is_wider_and_a_long_exposure_wider_still():
    def share(ratio, exposure):
        return float(AtmosphericKernels(ratio, exposure).sample([0], (1, 41, 41)).max())

    assert share(1.0, "short") > share(3.0, "short") > share(3.0, "long")


def test_an_interval_is_drawn_from_a_kernel_at_a_time():
    generator = AtmosphericKernels((1.0, 4.0))
    together = generator.sample([3, 8, 21], (1, 21, 21))
    alone = torch.cat([generator.sample([seed], (1, 21, 21)) for seed in (3, 8, 21)])
    torch.testing.assert_close(together, alone, atol=1e-7, rtol=0)
    tops = AtmosphericKernels((1.0, 4.0)).sample(range(200), (1, 21, 21)).amax((1, 2, 3))
    low, middle, high = (AtmosphericKernels(ratio).sample([0], (1, 21, 21)).max() for ratio in (4.0, 2.0, 1.0))
    assert low <= tops.min() and tops.max() <= high
    # Log-uniform: half of the draws lie below the geometric middle.
    assert 0.4 < float((tops < middle).float().mean()) < 0.6


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: AtmosphericKernels(exposure="brief"), "exposure is one of short, long"),
        (lambda: AtmosphericKernels((4.0, 1.0)), "d_over_r0 must be an interval"),
        (lambda: AtmosphericKernels(aperture=0), "aperture is a number above 0, in metres"),
        (lambda: AtmosphericKernels(wavelength=550.0), "wavelength is in metres"),
        (lambda: AtmosphericKernels(pixel=-1.0), "pixel is a number above 0, in microradians"),
        (lambda: AtmosphericKernels(20.0, "long").sample([0], (1, 9, 9)), "less than half of the light"),
    ],
)
def test_what_cannot_be_is_refused(make, said):
    with pytest.raises(IptError, match=said):
        make()
