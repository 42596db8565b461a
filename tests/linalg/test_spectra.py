"""How pictures hang together: an orthonormal turn of the channels, a spectrum, and the covariance made of both."""

from __future__ import annotations

import math

import pytest
import torch

from ipt.linalg.spectra import (
    SpectralCovariance,
    basis,
    frequencies,
    from_luma_chroma,
    picture_error,
    to_luma_chroma,
    wiener_error,
)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_channels_are_turned_and_turned_back(channels):
    picture = normal(2, channels, 4, 5)
    torch.testing.assert_close(from_luma_chroma(to_luma_chroma(picture)), picture)
    rows = basis(channels, picture)
    torch.testing.assert_close(rows @ rows.T, torch.eye(channels, dtype=torch.float64), atol=1e-12, rtol=0)
    grey = picture[:, :1].expand_as(picture)
    assert to_luma_chroma(grey)[:, 1:].abs().sum() < 1e-12
    torch.testing.assert_close(to_luma_chroma(grey)[:, 0], math.sqrt(channels) * grey[:, 0])


def test_what_is_left_is_wiener_s_error():
    frequency = frequencies((16, 16), normal(1))
    unseen = wiener_error(frequency, 3, math.inf)
    torch.testing.assert_close(wiener_error(frequency, 3, 1e-4), torch.full_like(unseen, 1e-8), rtol=1e-2, atol=0)
    torch.testing.assert_close(wiener_error(frequency, 3, 0.2), 1 / (1 / unseen + 1 / 0.04))
    # It falls with frequency, and luminance has most of it.
    assert (unseen[0, 1, 0] > 4 * unseen[0, 2, 0]) and (unseen[0] > 7 * unseen[1]).all()
    for level in (0.2, math.inf):
        whole = picture_error((24, 30), 3, level, frequency)
        torch.testing.assert_close(whole, wiener_error(frequencies((24, 30), frequency), 3, level))
    assert torch.equal(unseen[1], unseen[2]) and len(wiener_error(frequency, 1, 1.0)) == 1


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 9, 15), (3, 7, 12)])
def test_a_covariance_has_the_deviation_and_the_spectrum_that_are_asked_for(shape):
    spectral = SpectralCovariance(0.3, torch.full((1, 1, 1, 1), 0.2**2, dtype=torch.float64))
    eye = torch.eye(math.prod(shape), dtype=torch.float64).reshape(-1, *shape)
    matrix = spectral.root(eye).flatten(1).T
    torch.testing.assert_close(matrix, matrix.T, atol=1e-12, rtol=0)
    torch.testing.assert_close(spectral.root_transposed(eye), spectral.root(eye))
    covariance = matrix @ matrix.T
    torch.testing.assert_close(spectral.apply(eye).flatten(1), covariance)
    torch.testing.assert_close(spectral.solve(spectral.apply(eye)), eye)
    assert float(covariance.diagonal().mean()) == pytest.approx(0.2**2)
    # A wave comes out as itself, times the root of its power.
    down = torch.arange(shape[1], dtype=torch.float64)[:, None] / shape[1]
    powers = []
    for turns in (1, 3):
        wave = (2 * math.pi * turns * down).cos().expand(1, *shape)
        factor = (spectral.root(wave) / wave).flatten()[0]
        torch.testing.assert_close(spectral.root(wave), factor * wave, atol=1e-12, rtol=0)
        powers.append(float(factor**2))
    expected = [float(wiener_error(torch.tensor([[turns / shape[1]]]), shape[0], 0.3)[0, 0, 0]) for turns in (1, 3)]
    assert powers[0] / powers[1] == pytest.approx(expected[0] / expected[1], rel=1e-5)
