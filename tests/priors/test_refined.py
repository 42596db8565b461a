"""A network for the coarse picture and one for the detail, as one denoiser."""

from __future__ import annotations

import math

import pytest
import torch

from ipt.core.errors import IptError
from ipt.priors.edm import EDMDenoiser
from ipt.priors.loading import load
from ipt.priors.network import NetworkPrior
from ipt.priors.refined import Refined, RefinedConfig, RefinedDenoiser, config_of, lost_by_averaging
from ipt.priors.unet import UNetConfig
from ipt.priors.weights import save

BASE = UNetConfig(3, width=8, multipliers=(1, 2))
DETAIL = UNetConfig(3, width=8, multipliers=(1, 2), attention=False)
ERRORS = ((0.05, 0.0004), (0.5, 0.01), (5.0, 0.09))


@pytest.fixture
def denoiser():
    """Of pictures of 16x16, in none of its layers zero."""
    made = RefinedDenoiser(Refined(RefinedConfig(BASE, DETAIL, 16, 0.05, ERRORS))).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return made


def base_of(denoiser: RefinedDenoiser) -> EDMDenoiser:
    return EDMDenoiser(denoiser.network.base, denoiser.sigma_data)


def test_half_the_side_is_the_bases_alone(denoiser):
    noisy, sigma = torch.randn(2, 3, 8, 8), torch.tensor([0.1, 3.0])
    assert torch.equal(denoiser(noisy, sigma), base_of(denoiser)(noisy, sigma))


def test_an_untrained_detail_weighs_the_base_against_the_noisy_picture(denoiser):
    """With a raw network of zero what is left is Wiener's estimate of the rest: variance / (variance + sigma^2)."""
    for parameter in denoiser.network.detail.out.parameters():
        torch.nn.init.zeros_(parameter)
    noisy, sigma = torch.randn(3, 3, 16, 16), torch.tensor([0.001, 0.3, 1000.0])
    coarse = base_of(denoiser)(torch.nn.functional.avg_pool2d(noisy, 2), sigma / 2)
    known = torch.nn.functional.interpolate(coarse, scale_factor=2, mode="bilinear")
    variance = denoiser.network.deviation(sigma)[:, None, None, None] ** 2
    share = variance / (variance + sigma[:, None, None, None] ** 2)
    found = denoiser(noisy, sigma)
    torch.testing.assert_close(found, known + share * (noisy - known))
    assert (found[2] - known[2]).abs().max() < 1e-3 and (found[0] - noisy[0]).abs().max() < 0.01


def test_what_the_base_leaves_by_noise_level(denoiser):
    """At twice a level that was measured: its error and what averaging loses; between them no more and no less."""
    levels = torch.tensor([2 * level for level, _ in ERRORS])
    expected = [math.sqrt(error + 0.05**2) for _, error in ERRORS]
    torch.testing.assert_close(denoiser.network.deviation(levels), torch.tensor(expected))
    outside = denoiser.network.deviation(torch.tensor([1e-3, 0.3, 1e3]))
    assert outside[0] == pytest.approx(expected[0]) and outside[2] == pytest.approx(expected[2])
    assert expected[0] < outside[1] < expected[1]


def test_the_detail_sees_what_the_base_knows(denoiser):
    """Where the noisy picture itself is drowned, only the base's picture tells one example from another."""
    noise = torch.randn(1, 3, 16, 16).expand(2, -1, -1, -1)
    sigma = torch.full((2,), 0.5)
    first = denoiser(torch.zeros_like(noise) + 0.5 * noise, sigma)
    seen = []
    denoiser.network.detail.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    again = denoiser(torch.zeros_like(noise) + 0.5 * noise, sigma)
    assert torch.equal(first, again) and seen[0].shape == (2, 6, 16, 16)
    known = torch.nn.functional.interpolate(
        base_of(denoiser)(torch.nn.functional.avg_pool2d(0.5 * noise, 2), sigma / 2), scale_factor=2, mode="bilinear"
    )
    torch.testing.assert_close(seen[0][:, 3:], 2 * known)


@pytest.fixture
def doubled(denoiser):
    """What refines that in turn, for pictures of 32x32."""
    config = RefinedConfig(denoiser.network.config, DETAIL, 32, 0.02, ((0.1, 0.001), (1.0, 0.02)))
    made = RefinedDenoiser(Refined(config)).eval()
    made.network.base.load_state_dict(denoiser.network.state_dict())
    with torch.no_grad():
        for parameter in made.network.detail.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return made


def test_what_is_refined_can_be_refined_in_turn(doubled, denoiser):
    sigma = torch.tensor([0.1, 3.0])
    for side in (8, 16):
        noisy = torch.randn(2, 3, side, side)
        assert torch.equal(doubled(noisy, sigma), denoiser(noisy, sigma))
    seen = []
    doubled.network.detail.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    noisy = torch.randn(2, 3, 32, 32)
    found = doubled(noisy, sigma)
    known = torch.nn.functional.interpolate(
        denoiser(torch.nn.functional.avg_pool2d(noisy, 2), sigma / 2), scale_factor=2, mode="bilinear"
    )
    torch.testing.assert_close(seen[0][:, 3:], 2 * known)
    deviation = doubled.network.deviation(sigma)
    total = torch.hypot(sigma, deviation)[:, None, None, None]
    torch.testing.assert_close(seen[0][:, :3], (noisy - known) / total)
    assert found.shape == noisy.shape and not torch.equal(found, known)
    config = doubled.network.config
    assert config.sides == [8, 16, 32] and config.multiple == 16 and config_of(config.to_dict()) == config
    trained = {name for name, value in doubled.network.named_parameters() if value.requires_grad}
    assert trained and all(name.startswith("detail.") for name in trained)


def test_each_of_three_sizes_has_its_own_variance(doubled, uncertainty):
    prior = NetworkPrior(doubled, {**_config(doubled), "sizes": [8, 16, 32]}, name="three sizes")
    found = {side: uncertainty(prior, 1.0, (3, side, side)) ** 2 for side in (8, 16, 32)}
    assert found[32] == pytest.approx(0.02) and found[16] == pytest.approx(0.02)
    assert 0.01 < found[8] < 0.09
    assert uncertainty(prior, 0.1, (3, 16, 16)) ** 2 == pytest.approx(0.001)
    assert uncertainty(prior, 0.05, (3, 8, 8)) ** 2 == pytest.approx(0.0004)


def test_gradients_flow_through_both(denoiser):
    noisy = torch.randn(1, 3, 16, 16, requires_grad=True)
    weights = torch.randn(1, 3, 16, 16)
    (slope,) = torch.autograd.grad((denoiser(noisy, torch.tensor([0.5])) * weights).sum(), noisy)
    direction, step = torch.randn_like(noisy), 1e-2
    with torch.no_grad():
        ahead, behind = (
            (denoiser(noisy + sign * step * direction, torch.tensor([0.5])) * weights).sum() for sign in (1, -1)
        )
    assert (slope * direction).sum() == pytest.approx(float(ahead - behind) / (2 * step), rel=2e-2)


def test_only_the_detail_is_to_be_trained(denoiser):
    trained = {name for name, value in denoiser.network.named_parameters() if value.requires_grad}
    assert trained == {name for name, _ in denoiser.network.named_parameters() if name.startswith("detail.")}


def _config(denoiser, **changes):
    config = {
        "format": 1,
        "kind": "image",
        "architecture": "refined",
        "network": denoiser.network.config.to_dict(),
        "sigma_data": 0.5,
        "sizes": [8, 16],
        "validation": {"0.1": 0.001, "1.0": 0.02},
    }
    return {**config, **changes}


def test_weights_come_back_as_a_prior_of_two_sizes(denoiser, tmp_path):
    save(tmp_path, denoiser, _config(denoiser), half=False)
    prior = load(tmp_path)
    noisy = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(prior.denoise(noisy, 0.3), denoiser(noisy, torch.full((2,), 0.3)))
    for side in (8, 16):
        assert prior.normalization((3, side, side)).shape == (3, side, side)
    with pytest.raises(IptError, match="takes 8 x 8 or 16 x 16, not 12 x 12 px"):
        prior.normalization((3, 12, 12))


def test_each_size_has_its_own_variance(denoiser, uncertainty):
    prior = NetworkPrior(denoiser, _config(denoiser), name="two sizes")
    large, small = (3, 16, 16), (3, 8, 8)
    assert uncertainty(prior, 0.1, large) == pytest.approx(math.sqrt(0.001))
    assert uncertainty(prior, 0.5, small) == pytest.approx(0.1)
    assert uncertainty(prior, 5.0, small) == pytest.approx(0.3)


def test_the_config_is_read_back(denoiser):
    config = denoiser.network.config
    assert config_of(config.to_dict()) == config and config_of(DETAIL.to_dict()) == DETAIL


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"detail": UNetConfig(1, width=8, multipliers=(1, 2))},
            "coarse network has 3 channels, the one for the detail 1",
        ),
        ({"side": 12}, "multiple of 8, not 12"),
        ({"base": RefinedConfig(BASE, DETAIL, 16, 0.05, ERRORS), "side": 48}, "sides of 32, not 48"),
        ({"errors": ()}, "validate it first"),
        ({"lost": 0.0}, "validate it first"),
    ],
)
def test_what_does_not_belong_together(changes, message):
    with pytest.raises(IptError, match=message):
        RefinedConfig(**{"base": BASE, "detail": DETAIL, "side": 16, "lost": 0.05, "errors": ERRORS, **changes})


def test_what_averaging_loses():
    smooth = torch.linspace(-1, 1, 16).expand(1, 1, 16, 16)
    chequered = (torch.arange(16)[:, None] + torch.arange(16)) % 2 * 2.0 - 1
    assert lost_by_averaging(smooth) < 0.03
    assert lost_by_averaging(chequered[None, None]) == pytest.approx(1)
