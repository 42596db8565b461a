"""A prior that diffuses more than the quantity: what lies around it is solved for like the rest."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ipt.core.prior import Prior
from ipt.core.solver import Solver
from ipt.guidance.dps import DPS
from ipt.guidance.proximal import Proximal
from ipt.guidance.regularized import Regularized
from ipt.linalg.covariances import Isotropic
from ipt.linalg.normalization import Normalization, embedded
from ipt.linalg.windows import Windowed, windowed
from ipt.operators.blur import Blur
from ipt.operators.blur.kernels import GaussianKernels
from ipt.priors.smooth import SmoothPrior
from ipt.sampling.schedules import VP, Karras

MORE = 6


class Padded(Prior):
    """Another prior, of a variable that is larger on each side."""

    def __init__(self, prior, zero_outside=False):
        self.prior, self.zero_outside = prior, zero_outside

    def normalization(self, shape):
        channels, *sides = shape
        made = self.prior.normalization((channels, *(side + 2 * MORE for side in sides)))
        return replace(made, physical_shape=tuple(shape), zero_outside=self.zero_outside)

    def denoise(self, noisy, sigma):
        return self.prior.denoise(noisy, sigma)

    def posterior(self, noisy, sigma):
        return self.prior.posterior(noisy, sigma)


SMOOTH = SmoothPrior(length=6.0, std=0.2)


@pytest.mark.parametrize(
    ("rule", "schedule"),
    [(Proximal(), Karras(20)), (Regularized(Proximal(), {"image": "tv:0"}), Karras(20)), (DPS(scale=1.0), VP(60))],
    ids=["proximal", "regularized", "dps"],
)
def test_it_is_no_worse_than_without(rule, schedule):
    clean = 0.5 + 0.25 * torch.sin(torch.arange(24) / 3)[:, None] * torch.cos(torch.arange(24) / 4)
    image, kernel = clean[None, None], GaussianKernels(std=(1.0, 1.1)).sample([0], (1, 5, 5))
    blur = Blur(5, border="reflect")
    noise = 0.05 * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))

    def error(prior):
        solver = Solver(blur, {"image": prior}, rule, schedule)
        found = solver.solve(blur.forward(image, kernel) + noise, 0.05, {"kernel": kernel})
        return float((found.image - image).square().mean().sqrt())

    assert error(Padded(SMOOTH)) < 1.25 * error(SMOOTH)
    # Taken for black, as around a kernel, it would spoil the edge.
    assert isinstance(rule, DPS) or error(Padded(SMOOTH, zero_outside=True)) > 1.5 * error(SMOOTH)


def test_the_covariance_of_a_window_is_one():
    normalization = Padded(SMOOTH).normalization((1, 7, 9))
    noisy = torch.randn(2, *normalization.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = windowed(SMOOTH.posterior(noisy, 0.1).covariance, normalization)
    assert isinstance(found, Windowed)
    first, second = torch.randn(2, 2, 1, 7, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    whole = SMOOTH.posterior(noisy, 0.1).covariance
    torch.testing.assert_close(
        found.apply(first), normalization.window(whole.apply(embedded(first, normalization.shape)))
    )
    white = torch.randn_like(found.origin(first))
    assert white.shape[1:] == normalization.shape
    dot = (second * found.root(white)).sum().item()
    assert dot == pytest.approx((found.root_transposed(second) * white).sum().item(), rel=1e-6)
    torch.testing.assert_close(found.apply(found.solve(first)), first, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found.scaled(3.0).apply(first), 9 * found.apply(first))
    plain = Normalization((1, 7, 9), (1, 7, 9))
    assert windowed(found, plain) is found
    map_of = Isotropic(torch.rand(2, *normalization.shape))
    assert windowed(map_of, normalization).variance.shape == (2, 1, 7, 9)
