"""A prior of images of fixed sizes, in images that are larger than their frame."""

from __future__ import annotations

import math

import pytest
import torch

from ipt.core.errors import IptError
from ipt.core.prior import Posterior, Prior
from ipt.linalg.covariances import Isotropic
from ipt.linalg.normalization import Normalization
from ipt.linalg.spectra import SpectralCovariance
from ipt.operators.blur import Blur
from ipt.operators.downscale import Downscale
from ipt.operators.turbulence import Turbulence
from ipt.priors import shipped, surrounded
from ipt.priors.analytic import GaussianPrior
from ipt.priors.surrounded import Surrounded
from ipt.priors.surrounded import surrounded as as_needed
from ipt.solve.example import face
from ipt.testing import prior_checks

SIDE, MARGIN = 12, 3


class Square(Prior):
    """Takes one size alone; shrinks towards a mean, and is surer of that than of the noise."""

    def __init__(self, side=SIDE, gain=0.5, share=0.3):
        self.side, self.gain, self.share = side, gain, share

    def normalization(self, shape):
        if tuple(shape[1:]) != (self.side, self.side):
            raise IptError(f"takes {self.side}x{self.side}, not {shape[1]}x{shape[2]}")
        return Normalization(tuple(shape), tuple(shape), 0.5, 0.5)

    def denoise(self, noisy, sigma):
        assert noisy.shape[-2:] == (self.side, self.side)
        return self.gain * noisy

    def posterior(self, noisy, sigma):
        return Posterior(self.denoise(noisy, sigma), Isotropic.like(noisy, self.share * sigma))


def inside(shape):
    return slice(MARGIN, shape[-2] - MARGIN), slice(MARGIN, shape[-1] - MARGIN)


WINDOW = (..., slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
WHOLE = SIDE + 2 * MARGIN


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("sigma", [0.05, 1.0, 20.0])
def test_inside_the_frame_it_is_the_prior(sigma):
    noisy = normal(2, 3, WHOLE, WHOLE)
    found, alone = (prior.posterior(one, sigma) for prior, one in [(Surrounded(Square(), inside), noisy),
                                                                  (Square(), noisy[WINDOW])])  # fmt: skip
    assert found.mean.shape == noisy.shape and torch.equal(found.mean[WINDOW], alone.mean)
    torch.testing.assert_close(found.covariance.variance, alone.covariance.variance.expand(2, 1, 1, 1))
    assert torch.equal(Surrounded(Square(), inside).denoise(noisy, sigma), found.mean)
    # In units of 0..1, the noise was seen at half the level.
    assert isinstance(found.covariance, SpectralCovariance) and found.covariance.sigma == 0.5 * sigma


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sigma", [0.05, 0.5, 5.0])
def test_around_it_is_the_wiener_filters_estimate(sigma, channels, monkeypatch):
    """Against dense matrices: x' S^-1 x with S(f) = a f^-b in 0..1, four times that in -1..1; luminance has most."""
    noisy = normal(1, channels, WHOLE, WHOLE)
    frequency = torch.hypot(torch.fft.fftfreq(WHOLE).double()[:, None], torch.fft.fftfreq(WHOLE).double())
    spectrum = 4 * 0.00025 * frequency.clamp(min=0.5 / WHOLE) ** -2.7
    shares = [1.0] if channels == 1 else [2.4, 0.3, 0.3]
    units = torch.eye(WHOLE**2, dtype=torch.float64).reshape(-1, WHOLE, WHOLE)

    def precision(share):
        return torch.fft.ifft2(torch.fft.fft2(units) / (share * spectrum)).real.reshape(WHOLE**2, -1)

    luminance = torch.full((channels, channels), 1 / channels, dtype=torch.float64)
    pull = torch.kron(luminance, precision(shares[0]))
    pull += torch.kron(torch.eye(channels) - luminance, precision(shares[-1]))
    weight = torch.full((channels, WHOLE, WHOLE), sigma**-2, dtype=torch.float64)
    weight[WINDOW] = (0.3 * sigma) ** -2
    seen = noisy[0].clone()
    seen[WINDOW] = 0.5 * seen[WINDOW]
    expected = torch.linalg.solve(pull + weight.flatten().diag(), (weight * seen).flatten()).reshape(seen.shape)
    expected[WINDOW] = seen[WINDOW]
    near = Surrounded(Square(), inside).denoise(noisy, sigma)[0]
    assert (near - expected).norm() < 0.02 * expected.norm()
    monkeypatch.setattr(surrounded, "_ITERATIONS", 100)
    found = Surrounded(Square(), inside).denoise(noisy, sigma)[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_an_image_alone_and_in_a_batch():
    noisy, prior = normal(3, 3, WHOLE, WHOLE), Surrounded(Square(), inside)
    together = prior.posterior(noisy, 0.7).mean
    for index in range(3):
        torch.testing.assert_close(prior.posterior(noisy[index : index + 1], 0.7).mean[0], together[index])


def test_gradients_pass():
    """Where dps asks for them, in and around the frame, of every pixel."""
    noisy, prior = normal(1, 1, WHOLE, WHOLE).requires_grad_(), Surrounded(Square(), inside)
    assert torch.autograd.gradcheck(lambda value: prior.denoise(value, 0.7), (noisy,))


def test_its_normalization_is_the_priors_for_an_image_around_its_frame():
    prior = Surrounded(Square(), inside)
    found = prior.normalization((3, WHOLE, WHOLE))
    assert found.shape == found.physical_shape == (3, WHOLE, WHOLE) and (found.scale, found.offset) == (0.5, 0.5)
    with pytest.raises(IptError, match="takes 12x12, not 13x12"):
        prior.normalization((3, WHOLE + 1, WHOLE))


def test_a_prior_that_takes_a_canvas_cannot_be_surrounded():
    class Canvas(Square):
        def normalization(self, shape):
            return Normalization((shape[0], 16, 16), tuple(shape), 0.5, 0.5)

    with pytest.raises(IptError, match="cannot be surrounded"):
        Surrounded(Canvas(), inside).normalization((3, WHOLE, WHOLE))


class Gaussian(Square):
    """Independent entries, in squares alone."""

    def denoise(self, noisy, sigma):
        return GaussianPrior().denoise(noisy, sigma)

    def posterior(self, noisy, sigma):
        return GaussianPrior().posterior(noisy, sigma)


@pytest.mark.parametrize("check", prior_checks(Surrounded(Gaussian(), inside), shape=(3, WHOLE, WHOLE)))
def test_contract(check):
    check()


def test_networks_and_what_takes_some_sizes_alone_are_surrounded():
    faces, natural = shipped.faces(), shipped.natural()
    for operator in (Blur(9), Turbulence(9)):
        made = as_needed(faces, operator)
        assert isinstance(made, Surrounded) and made.prior is faces
        shape = operator.image_shape((3, 64, 64))
        assert shape == (3, 72, 72) and made.normalization(shape).shape == shape
        exact = GaussianPrior()
        assert as_needed(exact, operator) is exact
        seen = as_needed(natural, operator)
        assert isinstance(seen, Surrounded) and seen.prior is natural and seen.any_size
    for operator in (Blur(9, "circular"), Blur(9, "reflect"), Downscale(2)):
        shape = operator.image_shape((3, 64, 64))
        made = as_needed(faces, operator)
        inner = made.frame(shape) if isinstance(made, Surrounded) else None
        # A frame that is the image needs no surroundings, and if it has some they are empty.
        assert inner is None or inner == (slice(0, 64), slice(0, 64))


def test_a_frame_that_is_all_of_the_image_has_no_surroundings():
    noisy = normal(2, 3, SIDE, SIDE)
    prior = Surrounded(Square(), lambda shape: (slice(0, shape[-2]), slice(0, shape[-1])))
    torch.testing.assert_close(prior.denoise(noisy, 0.4), Square().denoise(noisy, 0.4))


class AnySize(GaussianPrior):
    """Independent entries; remembers what it was shown."""

    shown: tuple[int, ...] = ()

    def posterior(self, noisy, sigma):
        object.__setattr__(self, "shown", tuple(noisy.shape[-2:]))
        return super().posterior(noisy, sigma)


@pytest.mark.parametrize(("margin", "seen"), [(0, 0), (5, 5), (8, 8), (12, 8), (40, 20)])
def test_a_network_of_any_size_sees_half_of_a_margin_and_some_pixels_at_least(margin, seen):
    inner = AnySize()
    prior = Surrounded(inner, lambda shape: (slice(margin, margin + 24), slice(margin, margin + 16)), any_size=True)
    noisy = normal(2, 3, 24 + 2 * margin, 16 + 2 * margin)
    found, cut = prior.posterior(noisy, 0.5), margin - seen
    assert inner.shown == (24 + 2 * seen, 16 + 2 * seen)
    window = (..., slice(cut, 24 + 2 * margin - cut), slice(cut, 16 + 2 * margin - cut))
    expected = inner.posterior(noisy[window], 0.5)
    assert torch.equal(found.mean[window], expected.mean) and found.mean.shape == noisy.shape
    assert found.covariance.variance.shape == (2, 1, 1, 1)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 5.0])
def test_what_a_network_of_any_size_does_not_see_is_estimated(sigma):
    """Better than by the noisy picture, and than by nothing, which is grey."""
    clean = 2 * face(64)[None].double() - 1
    noisy = clean + sigma * normal(*clean.shape)
    prior = Surrounded(shipped.natural(), lambda shape: (slice(20, 44), slice(20, 44)), any_size=True)
    error = (prior.denoise(noisy, sigma) - clean).square()
    error[..., 10:54, 10:54] = 0
    around = clean.square()
    around[..., 10:54, 10:54] = 0
    assert error.sum() < 0.6 * min(around.sum(), sigma**2 * (64**2 - 44**2) * 3)


def test_within_another_frame():
    prior = Surrounded(Square(), inside).within(lambda shape: (slice(0, SIDE), slice(0, SIDE)))
    noisy = normal(1, 1, WHOLE, WHOLE)
    assert torch.equal(prior.denoise(noisy, 1.0)[..., :SIDE, :SIDE], 0.5 * noisy[..., :SIDE, :SIDE])


@pytest.mark.parametrize(("sigma", "gain"), [(0.3, 3.0), (1.0, 8.0), (5.0, 17.0)])
def test_faces_goes_on_around_its_frame(sigma, gain):
    """What lies around a face is seen through the noise and continues the face: its estimate is far better than the
    noisy one."""
    clean = 2 * face(64, 8)[None] - 1
    prior = as_needed(shipped.faces(), Blur(16))
    assert tuple(clean.shape[1:]) == Blur(16).image_shape((3, 64, 64))
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    found = prior.denoise(clean + sigma * noise, sigma)
    around = torch.ones(1, 1, 80, 80, dtype=torch.bool)
    around[..., 8:-8, 8:-8] = False
    error = (found - clean)[around.expand_as(clean)].square().mean().sqrt()
    assert 20 * math.log10(sigma / error) > gain
