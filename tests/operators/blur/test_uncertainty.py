"""What counts as noise in the steps of `blur`: statistics of measurements drawn from the beliefs themselves."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from ipt.core.abilities import Belief
from ipt.core.observation import Observation
from ipt.linalg.covariances import Isotropic
from ipt.linalg.spectra import to_luma_chroma, wiener_error
from ipt.operators.blur import Blur
from ipt.operators.blur.measured import Measured
from ipt.operators.blur.uncertainty import (
    DISCOUNT,
    LEAST_NOISE,
    USUAL,
    Innovation,
    discounted,
    lowered_noise,
    misfit_inflation,
    picture_change,
)

GIVEN = 0.05


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def scene(level, channels=3, side=48):
    """A picture, a kernel, the grid, and the picture's blurred measurement with noise of a level, said to be GIVEN."""
    operator = Blur(5, "circular")
    kernel = operator.constrain({"kernel": normal(1, 1, 5, 5, seed=1).abs()})["kernel"]
    picture = 0.5 + 0.1 * normal(1, channels, side, side, seed=2)
    measurement = operator.forward(picture, kernel) + level * normal(1, channels, side, side, seed=3)
    padded = operator.padded(picture, kernel)
    observation = Observation(measurement, torch.full((1, 1, 1, 1), GIVEN, dtype=torch.float64))
    return picture, kernel, padded, Measured.on(padded, observation, torch.float64)


def found_level(level):
    picture, kernel, padded, measured = scene(level)
    spectrum = torch.fft.rfft2(to_luma_chroma(picture))
    variance = lowered_noise(
        padded, measured, padded.inverse(spectrum * padded.transfer(kernel)), torch.zeros(1, 1, 1, 1).double()
    )
    assert variance.shape == spectrum.shape
    return variance.sqrt()


@pytest.mark.parametrize("level", [0.004, 0.02])
def test_less_noise_than_was_given_is_found_in_every_band(level):
    found = found_level(level)
    assert float(found.mean()) == pytest.approx(level, rel=0.1) and found.max() < 3 * level


def test_what_compression_removes_is_not_taken_for_little_noise():
    """A measurement without its finest detail, and with hardly any colour, is as wrong there as elsewhere."""
    picture, kernel, padded, measured = scene(0.01)
    spectrum, frequency = torch.fft.rfft2(measured.values), padded.frequencies(measured.values)
    spectrum[..., frequency > 0.32] = 0
    spectrum[:, 1:, frequency > 0.08] = 0
    compressed = replace(measured, values=padded.inverse(spectrum))
    predicted = padded.inverse(
        torch.where(spectrum == 0, 0, torch.fft.rfft2(to_luma_chroma(picture)) * padded.transfer(kernel))
    )
    found = lowered_noise(padded, compressed, predicted, torch.zeros(1, 1, 1, 1).double()).sqrt()
    assert float(found[..., frequency > 0.16].min()) == pytest.approx(0.01, rel=0.1)


def test_more_noise_than_was_given_is_not_called_noise_and_there_is_a_least():
    assert found_level(0.2).max() == pytest.approx(GIVEN)
    assert found_level(0.0).min() == pytest.approx(LEAST_NOISE)


def test_what_the_rest_explains_is_no_noise():
    """With others' variance as large as the misfit, the level that was given stays about as likely as less."""
    picture, _, padded, measured = scene(GIVEN)
    flat = torch.zeros_like(torch.fft.rfft2(picture))
    found = torch.fft.rfft2(measured.values).abs().square() / measured.count
    kept = lowered_noise(padded, measured, padded.inverse(flat), 100 * found + 10)
    assert kept.sqrt().min() > 0.95 * GIVEN


def inflation(level):
    picture, kernel, padded, measured = scene(level, 1)
    spectrum, one = torch.fft.rfft2(picture), torch.ones(1, 1, 1, 1, dtype=torch.float64)
    predicted = padded.inverse(spectrum * padded.transfer(kernel))
    return float(misfit_inflation(padded, measured, predicted, spectrum, 0 * one, one / GIVEN**2))


def test_noise_as_believed_is_no_misfit_and_more_is():
    assert inflation(0.5 * GIVEN) == 1 and inflation(GIVEN) < 1.4
    # The worst band has the largest mean of few draws.
    assert inflation(4 * GIVEN) == pytest.approx(16 / USUAL, rel=0.35) and inflation(4 * GIVEN) >= 14 / USUAL


@pytest.mark.parametrize("sigma", [0.05, math.inf])
def test_a_surer_kernel_leaves_less_and_the_data_leave_less_than_before(sigma):
    picture, kernel, padded, measured = scene(0.01)
    image = Belief(picture, Isotropic(torch.full((1, 1, 1, 1), 1e-4).double()), 0.05)
    belief = Belief(kernel / kernel.max(), Isotropic(torch.full((1, 1, 1, 1), 1e-3).double()), sigma)
    known = Innovation.of(padded, measured, image, belief)
    torch.testing.assert_close(known.prior_kernel, kernel)
    left = known.remaining(padded)
    # Kernels sum to 1: nothing is uncertain at frequency zero but the floor of rounding.
    assert known.kernel_variance[..., 0, 0] <= 1e-6
    assert (left <= known.kernel_variance * (1 + 1e-9)).all() and (left > 0).all()
    surer = Innovation.of(padded, measured, image, Belief(belief.mean, belief.covariance, 0.01))
    assert surer.kernel_variance.mean() < known.kernel_variance.mean()
    assert surer.remaining(padded).mean() < left.mean()


# ---- What sees the unmeasured counts less.


def framed_scene(side=40, margin=8):
    operator = Blur(9, "unknown", margin=margin)
    measurement = 0.5 + 0.1 * normal(1, 3, side, side, seed=4)
    image = normal(1, 3, side + 2 * margin, side + 2 * margin, seed=5)
    kernel = operator.constrain({"kernel": normal(1, 1, 9, 9, seed=6).abs()})["kernel"]
    padded = operator.padded(image, kernel)
    measured = Measured.on(padded, Observation(measurement, torch.full((1, 1, 1, 1), 0.01).double()), torch.float64)
    return padded, measured, kernel, torch.full((1, 3, *padded.frequencies(image).shape), 1e4, dtype=torch.float64)


def test_pixels_count_as_much_as_what_they_see_was_measured():
    padded, measured, kernel, weight = framed_scene()
    found = padded.observe(discounted(padded, measured, kernel, weight).mask)[0, 0]
    # 9 pixels of kernel: what is four or more from the edge sees measured pixels alone.
    torch.testing.assert_close(found[4:-4, 4:-4], torch.ones(32, 32, dtype=torch.float64))
    assert found[0, 0] < found[0, 20] < found[2, 20] < 1
    # The weight of a pixel whose share u of the kernel sees the unmeasured: usual / (usual + D(radius) u^2).
    # What lies within two pixels of measured ones is held by them.
    unmeasured = 1 - measured.mask
    near = torch.nn.functional.avg_pool2d(unmeasured, 5, 1, 2, count_include_pad=False)
    unseen = padded.observe(padded.filtered(unmeasured * near, padded.transfer(kernel)))[0, 0]
    place = torch.arange(9).double() - 4
    radius = (kernel[0, 0] * (place[:, None].square() + place.square())).sum().sqrt()
    change = DISCOUNT * picture_change(padded, measured.values, radius.reshape(1, 1, 1, 1))
    expected = (1e-4 / (1e-4 + change[0, 0] * unseen.square())).sqrt()
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_a_delta_and_a_whole_grid_discount_nothing():
    padded, measured, kernel, weight = framed_scene()
    delta = torch.zeros_like(kernel)
    delta[..., 4, 4] = 1
    torch.testing.assert_close(discounted(padded, measured, delta, weight).mask, measured.mask)
    _, kernel, padded, measured = scene(0.01)
    assert discounted(padded, measured, kernel, torch.ones(1, 3, 48, 25).double()) is measured


def test_pictures_change_more_over_larger_distances_as_their_spectrum_says():
    """Against the mean square of differences of drawn pictures of that spectrum."""
    padded, measured, _, _ = framed_scene(side=112)
    spectrum = wiener_error(padded.frequencies(measured.values), 3, math.inf)[0]
    white = torch.fft.rfft2(normal(1, *padded.size, seed=7).repeat(1, 1, 1))
    drawn = torch.fft.irfft2(white * spectrum.sqrt(), s=padded.size)[0]
    changes = [
        float(picture_change(padded, measured.values, torch.full((1, 1, 1, 1), float(distance)).double()))
        for distance in (1, 4, 16)
    ]
    assert changes[0] < changes[1] < changes[2]
    for distance, found in zip((1, 4), changes, strict=False):
        apart = 0.5 * sum((drawn - drawn.roll(distance, axis)).square().mean() for axis in (0, 1))
        # The mean over directions of cos(2 pi f d cos a) is a Bessel function; cos(2 pi f d) overshoots it.
        assert 0.5 * float(apart) < found < 4 * float(apart)
