"""What is read off a file of weights: the network, and what it is of."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from ipt.core.errors import IptError
from ipt.priors.adm_config import ADMConfig
from ipt.priors.loading import load
from ipt.priors.vp import VPDenoiser

PICTURE = ADMConfig(3, 32, (1, 1, 2, 3, 4), attention=(), head_channels=32)
KERNEL = ADMConfig(1, 32, (1, 2, 3, 4), attention=(2,), head_channels=32)
FIELD = ADMConfig(2, 32, (1, 2), attention=(), head_channels=32, learned_variance=False)


@pytest.mark.parametrize(
    ("config", "sizes", "kind", "scale", "offset"),
    [(PICTURE, [128], "image", 0.5, 0.5), (KERNEL, [64], "kernel", 0.5, 0.5), (FIELD, None, "field", 1.0, 0.0)],
)
def test_a_bare_checkpoint_needs_no_config(checkpoint, config, sizes, kind, scale, offset):
    file, network = checkpoint(config)
    prior = load(file, head_channels=32)
    found = prior.config
    assert ADMConfig.from_dict(found["network"]) == config
    assert (found["sizes"], found["kind"], found["scale"], found["offset"]) == (sizes, kind, scale, offset)
    assert prior.name == "checkpoint.pt"
    noisy = torch.randn(2, config.channels, 16, 16)
    found = prior.posterior(noisy, 0.7)
    expected, _ = VPDenoiser(network).estimate(noisy, torch.full((2,), 0.7))
    assert torch.allclose(found.mean, expected, atol=1e-5)
    assert (found.variance_interpolation is None) == (not config.learned_variance)
    assert torch.equal(prior.denoise(noisy, 0.7), found.mean)


def test_a_checkpoint_wrapped_or_in_safetensors(tmp_path, randomised):
    state = randomised(KERNEL).float().state_dict()
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "wrapped.pth")
    save_file({name: value.half() for name, value in state.items()}, tmp_path / "bare.safetensors")
    noisy = torch.randn(1, 1, 16, 16)
    wrapped = load(tmp_path / "wrapped.pth", head_channels=32).denoise(noisy, 1.0)
    bare = load(tmp_path / "bare.safetensors", head_channels=32).denoise(noisy, 1.0)
    assert torch.allclose(wrapped, bare, atol=2e-2)


def test_a_schedule_stored_with_the_parameters_does_no_harm(checkpoint):
    """deepinv's DiffUNet has guided diffusion's names, and in newer versions these two tensors more."""
    file, network = checkpoint(KERNEL)
    schedule = {"sqrt_alphas_cumprod": torch.rand(1000), "sqrt_1m_alphas_cumprod": torch.rand(1000)}
    torch.save({**network.state_dict(), **schedule}, file)
    noisy = torch.randn(1, 1, 16, 16)
    expected = VPDenoiser(network)(noisy, torch.full((1,), 0.7))
    assert torch.allclose(load(file, head_channels=32).denoise(noisy, 0.7), expected, atol=1e-5)


def test_a_checkpoint_with_other_parameters_is_refused(checkpoint, tmp_path):
    file, network = checkpoint(KERNEL)
    state = network.state_dict()
    del state["input_blocks.4.0.emb_layers.1.bias"]
    state["extra"] = torch.zeros(1)
    torch.save(state, file)
    with pytest.raises(IptError, match=r"1 missing \(input_blocks.4.0.emb_layers.1.bias\); 1 unexpected \(extra\)"):
        load(file, head_channels=32)


def test_options_override_the_config(checkpoint):
    prior = load(checkpoint(FIELD)[0], scale=4.0, offset=1.0, sizes=[16], head_channels=32)
    chart = prior.normalization((2, 16, 16))
    assert (chart.scale, chart.offset) == (4.0, 1.0)
    with pytest.raises(IptError, match="16x16"):
        prior.normalization((2, 32, 32))


def test_loading_leaves_the_global_random_numbers_alone(folder, checkpoint):
    paths = [folder(), checkpoint(KERNEL)[0]]
    state = torch.random.get_rng_state()
    for path in paths:
        load(path, head_channels=32)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("channels", "older", "kind"),
    [(1, {"canvas": True}, "kernel"), (1, {"canvas": False}, "image"), (2, {}, "field"), (3, {}, "image")],
)
def test_weights_of_before_kinds_are_read_as_they_were(channels, older, kind, folder, edit_config):
    """Version 0.1 wrote `canvas` and `kernels`, and said what was a field by its two channels."""
    place = folder(channels)
    edit_config(place, kind=None, **older)
    assert load(place).kind == kind
    edit_config(place, kernels=True)
    outside = torch.full((1, channels, 8, 8), -3.0)
    assert load(place).denoise(outside, 0.5).min() >= -1 - 1e-6


def test_a_kind_that_there_is_none_of(folder, edit_config):
    place = folder()
    edit_config(place, kind="spectrum")
    with pytest.raises(IptError, match=r"of kind 'spectrum': its config.json has to say one of image, kernel, field"):
        load(place)
    assert load(place, kind="kernel").kind == "kernel"
    assert json.loads((place / "config.json").read_text())["kind"] == "spectrum"
