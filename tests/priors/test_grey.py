"""Grey images with a prior of colour ones."""

from __future__ import annotations

import math

import pytest
import torch
from skimage import data

from ipt.core.errors import IptError
from ipt.core.prior import Posterior, Prior
from ipt.linalg.covariances import Isotropic
from ipt.linalg.normalization import Normalization
from ipt.linalg.spectra import SpectralCovariance
from ipt.operators.blur import Blur
from ipt.priors import shipped
from ipt.priors.analytic import GaussianPrior
from ipt.priors.grey import Grey
from ipt.priors.surrounded import Surrounded, surrounded
from ipt.testing import prior_checks


class Colour(Prior):
    """Of three channels; keeps what it was asked, and finds the channels a little apart."""

    def __init__(self, learned=False):
        self.asked, self.learned = [], learned

    def normalization(self, shape):
        if shape[0] != 3 or shape[1] != shape[2]:
            raise IptError(f"takes squares in colour, not {tuple(shape)}")
        return Normalization(tuple(shape), tuple(shape), 0.25, 0.5)

    def denoise(self, noisy, sigma):
        self.asked.append((noisy.clone(), sigma))
        return noisy / (1 + sigma**2) + torch.tensor([0.0, 0.1, 0.5]).to(noisy).reshape(3, 1, 1)

    def posterior(self, noisy, sigma):
        place = noisy.sigmoid() * torch.tensor([1.0, 0.5, 0.0]).to(noisy).reshape(3, 1, 1) if self.learned else None
        return Posterior(self.denoise(noisy, sigma), Isotropic.like(noisy, 0.3 * sigma), place)


NOISY = torch.randn(2, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("learned", [False, True])
def test_it_is_the_mean_of_what_the_prior_finds_at_a_third_of_the_precision(learned):
    """Noise of sqrt(3) sigma in each of three channels is noise of sigma in their mean."""
    colour = Colour(learned)
    found = Grey(colour).posterior(NOISY, 0.4)
    (seen, level), = colour.asked  # fmt: skip
    assert level == pytest.approx(0.4 * math.sqrt(3))
    torch.testing.assert_close(seen.mean(1, keepdim=True), NOISY)
    torch.testing.assert_close(found.mean, NOISY / (1 + 3 * 0.16) + 0.2)
    torch.testing.assert_close(Grey(colour).denoise(NOISY, 0.4), found.mean)
    assert isinstance(found.covariance, SpectralCovariance) and found.covariance.sigma == pytest.approx(0.25 * 0.4)
    variance = found.covariance.variance
    torch.testing.assert_close(variance, torch.full_like(variance, 3 * (0.3 * 0.4) ** 2))
    if learned:
        each = seen.sigmoid() * torch.tensor([1.0, 0.5, 0.0]).to(seen).reshape(3, 1, 1)
        torch.testing.assert_close(found.variance_interpolation, each.mean(1, keepdim=True))
    else:
        assert found.variance_interpolation is None


def test_the_prior_sees_white_noise_in_three_channels():
    """The chrominance that a grey image lacks is noise, another one at each level and the same in each image."""
    colour, sigma = Colour(), 0.4
    noise = sigma * torch.randn(2, 1, 128, 128, generator=torch.Generator().manual_seed(1))
    Grey(colour).denoise(noise, sigma)
    Grey(colour).denoise(noise, 2 * sigma)
    (seen, _), (twice, _) = colour.asked
    channels = seen.transpose(0, 1).flatten(1)
    covariance = channels @ channels.T / channels.shape[1]
    torch.testing.assert_close(covariance, 3 * sigma**2 * torch.eye(3), atol=0.02, rtol=0)
    torch.testing.assert_close((seen - noise)[0], (seen - noise)[1])
    other = (twice - noise)[0] / 2
    assert abs(float(((seen - noise)[0] * other).mean())) < 0.02 * float(other.square().mean())


def test_its_normalization_is_the_priors_of_one_channel():
    found = Grey(Colour()).normalization((1, 8, 8))
    assert (found.shape, found.physical_shape, found.scale, found.offset) == ((1, 8, 8), (1, 8, 8), 0.25, 0.5)
    with pytest.raises(IptError, match="1 channel, and this has 3"):
        Grey(Colour()).normalization((3, 8, 8))
    with pytest.raises(IptError, match=r"squares in colour, not \(3, 8, 9\)"):
        Grey(Colour()).normalization((1, 8, 9))


def test_gradients_pass():
    noisy = NOISY.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda value: Grey(Colour()).denoise(value, 0.7), (noisy,))


class Sure(Colour):
    """Independent entries, without anything between the channels."""

    def denoise(self, noisy, sigma):
        return GaussianPrior().denoise(noisy, sigma)

    def posterior(self, noisy, sigma):
        return GaussianPrior().posterior(noisy, sigma)


@pytest.mark.parametrize("check", prior_checks(Grey(Sure()), shape=(1, 8, 8)))
def test_contract(check):
    check()


@pytest.fixture(scope="module")
def photographs():
    """Windows (1, 1, 96, 97) of the camera man and the moon, in -1..1."""
    whole = torch.from_numpy(data.camera()).float() / 127.5 - 1
    return [whole[top : top + 96, left : left + 97][None, None] for top, left in ((60, 150), (200, 60), (300, 330))]


@pytest.mark.parametrize("sigma", [0.1, 0.2, 0.5])
def test_natural_knows_grey_pictures(sigma, photographs):
    """Much better than shown the grey picture as a colour one behind noise of the same level."""
    natural = shipped.natural()
    for number, clean in enumerate(photographs):
        noisy = clean + sigma * torch.randn(clean.shape, generator=torch.Generator().manual_seed(number))
        errors = [
            (found - clean).square().mean().sqrt().item()
            for found in (
                Grey(natural).denoise(noisy, sigma),
                natural.denoise(noisy.expand(-1, 3, -1, -1), sigma).mean(1, keepdim=True),
            )
        ]
        assert 20 * math.log10(sigma / errors[0]) > 3 and errors[0] < 0.85 * errors[1]


@pytest.mark.parametrize("sigma", [2.5, 5.0])
def test_natural_is_not_misled_by_grey_noise(sigma, photographs):
    """At high levels the same noise in all channels looks like a picture to a prior of colour images."""
    natural, level = shipped.natural(), math.sqrt(3) * sigma
    clean = torch.cat([each[..., :96] for each in photographs])
    noisy = clean + sigma * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    copied = natural.denoise(noisy.expand(-1, 3, -1, -1), level).mean(1, keepdim=True)
    errors = [(found - clean).square().mean() for found in (Grey(natural).denoise(noisy, sigma), copied)]
    assert errors[0] < 0.8 * errors[1]


def test_a_grey_prior_of_fixed_sizes_is_surrounded():
    operator = Blur(9)
    made = surrounded(Grey(shipped.faces()), operator)
    assert isinstance(made, Surrounded)
    shape = operator.image_shape((1, 64, 64))
    assert made.normalization(shape).shape == (1, 72, 72)
    noisy = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))
    assert made.denoise(noisy, 1.0).shape == noisy.shape
    anywhere = Grey(shipped.natural())
    wide = surrounded(anywhere, operator)
    assert isinstance(wide, Surrounded) and wide.prior is anywhere and wide.any_size
