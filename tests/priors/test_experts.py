"""A network for little noise and one for much, as one denoiser."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch
from skimage import data

from ipt.core.errors import IptError
from ipt.priors import loading, shipped
from ipt.priors.edm import EDMDenoiser
from ipt.priors.experts import Experts, ExpertsConfig, ExpertsDenoiser
from ipt.priors.ffdnet import FFDNetConfig
from ipt.priors.unet import UNetConfig
from ipt.priors.weights import save

LOW, HIGH = FFDNetConfig(3, 8, 3), UNetConfig(3, 16, (1, 2), patch=2, attention=False, norm="pixel")
CONFIG = ExpertsConfig(LOW, HIGH, 0.5, 0.01, 0.5)
DESCRIBED = {
    "format": 1,
    "architecture": "experts",
    "network": CONFIG.to_dict(),
    "scale": 0.5,
    "offset": 0.5,
    "sizes": None,
    "kind": "image",
    "validation": {"0.1": 1e-3, "1.0": 0.04},
}


@pytest.fixture
def denoiser():
    """Of random weights, none of them zero, in double precision."""
    torch.manual_seed(1)
    made = ExpertsDenoiser(Experts(CONFIG)).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return made


@pytest.fixture
def noisy():
    return torch.randn(4, 3, 12, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("level", [0.02, 0.3, 0.499, 0.5, 2.0, 50.0])
def test_each_is_called_at_its_levels_alone(level, denoiser, noisy, monkeypatch):
    called, net = [], denoiser.network
    net.low.register_forward_hook(lambda *_: called.append("low"))
    net.high.register_forward_hook(lambda *_: called.append("high"))
    sigma = torch.full((4,), level, dtype=torch.float64)
    found = denoiser(noisy, sigma)
    assert called == ["low" if level < 0.5 else "high"]
    expected = net.low(noisy, sigma) if level < 0.5 else EDMDenoiser(net.high, 0.5)(noisy, sigma)
    torch.testing.assert_close(found, expected)


def test_levels_of_both_in_a_batch(denoiser, noisy):
    sigma = torch.tensor([0.1, 3.0, 0.4999, 0.5], dtype=torch.float64)
    together = denoiser(noisy, sigma)
    for index in range(4):
        one = slice(index, index + 1)
        torch.testing.assert_close(denoiser(noisy[one], sigma[one]), together[one])


def test_below_the_least_level_less_is_removed_as_the_variance_falls(denoiser, noisy):
    """Of what is removed at the least level, the share by which the noise's variance is less."""
    most = denoiser(noisy, torch.full((4,), 0.01, dtype=torch.float64)) - noisy
    assert most.abs().max() > 0.01
    for level in (0.01, 0.005, 0.001, 1e-6):
        removed = denoiser(noisy, torch.full((4,), level, dtype=torch.float64)) - noisy
        torch.testing.assert_close(removed, (level / 0.01) ** 2 * most, rtol=1e-9, atol=1e-12)


def test_without_a_least_level_there_is_none(noisy):
    torch.manual_seed(0)
    made = ExpertsDenoiser(Experts(replace(CONFIG, least=0.0))).double()
    sigma = torch.full((4,), 1e-4, dtype=torch.float64)
    torch.testing.assert_close(made(noisy, sigma), made.network.low(noisy, sigma))


@pytest.mark.parametrize("level", [0.004, 0.2, 2.0])
def test_gradients_pass(level, denoiser, noisy):
    given = noisy[:1, :, :4, :4].clone().requires_grad_()
    sigma = torch.tensor([level], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda value: denoiser(value, sigma), (given,))


def test_a_config_comes_back():
    assert ExpertsConfig.from_dict(json.loads(json.dumps(CONFIG.to_dict()))) == CONFIG
    assert (CONFIG.channels, CONFIG.multiple, CONFIG.local) == (3, HIGH.multiple, True)
    assert not replace(CONFIG, high=replace(HIGH, attention=True)).local
    assert replace(CONFIG, high=UNetConfig(3, 16, (1,), patch=1, attention=False, norm="pixel")).multiple == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"low": FFDNetConfig(1, 8, 3)}, "1 and 3 channels: give both the same"),
        ({"switch": 0.01}, "0 <= least < switch"),
        ({"least": -0.1}, "0 <= least < switch"),
        ({"switch": math.nan}, "0 <= least < switch"),
    ],
)
def test_experts_that_are_none(changes, said):
    with pytest.raises(IptError, match=said):
        replace(CONFIG, **changes)


# ---- As weights.


def test_weights_are_saved_and_loaded(denoiser, noisy, tmp_path):
    single = denoiser.float()
    save(tmp_path / "both", single, DESCRIBED)
    prior = loading.load(tmp_path / "both")
    assert (prior.channels, prior.name) == (3, "both")
    for level in (0.005, 0.2, 1.0):
        expected = single(noisy.float(), torch.full((4,), level))
        torch.testing.assert_close(prior.denoise(noisy.float(), level), expected, rtol=0, atol=1e-3)
    # Local, so of any size.
    assert prior.normalization((3, 31, 57)).shape == (3, 31, 57)
    assert prior.denoise(torch.randn(1, 3, 31, 57), 0.3).shape == (1, 3, 31, 57)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"switch": None}, "has no 'switch'"),
        ({"high": None}, "has no 'high'"),
        ({"low": {"channels": 1}}, "channels: give both the same"),
        ({"low": {"depth": 3}}, "describes no network"),
        ({"least": "much"}, "describes no network"),
    ],
)
def test_a_config_that_describes_none(change, said, denoiser, tmp_path):
    changed = {name: value for name, value in {**CONFIG.to_dict(), **change}.items() if value is not None}
    save(tmp_path / "both", denoiser.float(), DESCRIBED)
    file = tmp_path / "both" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "network": changed}))
    with pytest.raises(IptError, match=said):
        loading.load(tmp_path / "both")


def test_loading_draws_no_random_numbers(denoiser, tmp_path):
    save(tmp_path / "both", denoiser.float(), DESCRIBED)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    loading.load(tmp_path / "both")
    assert torch.equal(torch.rand(3), expected)


# ---- Those that ship.


@pytest.fixture(scope="module")
def photograph():
    pixels = torch.from_numpy(data.astronaut()).permute(2, 0, 1).float() / 127.5 - 1
    return pixels[None, :, 40:137, 170:271]


@pytest.mark.parametrize(("sigma", "gain"), [(0.02, 0.5), (0.05, 2.5), (0.1, 5.0), (0.3, 9.0), (0.57, 11.0)])
def test_natural_denoises_where_there_is_little_noise(sigma, gain, photograph):
    noise = torch.randn(photograph.shape, generator=torch.Generator().manual_seed(0))
    error = (shipped.natural().denoise(photograph + sigma * noise, sigma) - photograph).square().mean().sqrt()
    assert 20 * math.log10(sigma / error) > gain


def test_natural_does_not_jump_where_one_network_follows_the_other(photograph):
    noise = torch.randn(photograph.shape, generator=torch.Generator().manual_seed(0))
    noisy = photograph + 0.58 * noise
    below, above = (shipped.natural().denoise(noisy, sigma) for sigma in (0.5799, 0.5801))
    errors = [(found - photograph).square().mean().sqrt().item() for found in (below, above)]
    assert (below - above).square().mean().sqrt() < 0.7 * min(errors)


def test_natural_leaves_a_clean_picture_as_it_is(photograph):
    for sigma in (1e-3, 1e-4):
        assert (shipped.natural().denoise(photograph, sigma) - photograph).square().mean().sqrt() < sigma


# ---- Half precision.


@pytest.mark.parametrize(("level", "exact"), [(0.05, True), (0.199, True), (0.2, False), (0.4, False)])
def test_little_noise_is_removed_in_float32(noisy, level, exact):
    """What bfloat16 leaves of a whole picture is as large as little noise: blind solves came out 5 dB worse."""
    torch.manual_seed(4)
    made, sigma = ExpertsDenoiser(Experts(CONFIG)).eval(), torch.full((4,), level)
    with torch.no_grad():
        single = made(noisy.float(), sigma)
        with torch.autocast("cpu", torch.bfloat16):
            half = made(noisy.float(), sigma)
    assert torch.equal(half, single) == exact
    assert torch.allclose(half, single, atol=0.1)
