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
from ipt.sampling.schedules import VP

PICTURE = ADMConfig(3, 32, (1, 1, 2, 3, 4), attention=(), head_channels=32)
KERNEL = ADMConfig(1, 32, (1, 2, 3, 4), attention=(2,), head_channels=32)
FIELD = ADMConfig(2, 32, (1, 2), attention=(), head_channels=32, learned_variance=False)


@pytest.mark.parametrize(
    ("config", "sizes", "kind", "scale", "offset"),
    [(PICTURE, [128], "image", 0.5, 0.5), (KERNEL, [64], "kernel", 0.5, 0.5), (FIELD, None, "field", 1.0, 0.0)],
)
def test_a_bare_checkpoint_needs_no_config(checkpoint, config, sizes, kind, scale, offset):
    file, network = checkpoint(config)
    prior = load(file, head_channels=32, schedule="linear")
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
    wrapped = load(tmp_path / "wrapped.pth", head_channels=32, schedule="linear").denoise(noisy, 1.0)
    bare = load(tmp_path / "bare.safetensors", head_channels=32, schedule="linear").denoise(noisy, 1.0)
    assert torch.allclose(wrapped, bare, atol=2e-2)


@pytest.mark.parametrize(("betas", "length"), [("linear", 1000), ("cosine", 4000)])
def test_a_schedule_stored_with_the_parameters_is_theirs(checkpoint, betas, length):
    """deepinv's DiffUNet has guided diffusion's names, and in newer versions these two tensors more."""
    file, network = checkpoint(KERNEL)
    process = VP(betas=betas, length=length)
    bar = process.alphas_bar()
    schedule = {"sqrt_alphas_cumprod": bar.sqrt().float(), "sqrt_1m_alphas_cumprod": (1 - bar).sqrt().float()}
    torch.save({**network.state_dict(), **schedule}, file)
    noisy = torch.randn(1, 1, 16, 16)
    expected = VPDenoiser(network, process)(noisy, torch.full((1,), 0.7))
    assert torch.allclose(load(file, head_channels=32).denoise(noisy, 0.7), expected, atol=1e-5)


def test_a_stored_schedule_of_another_kind_is_refused(checkpoint):
    file, network = checkpoint(KERNEL)
    torch.save({**network.state_dict(), "sqrt_alphas_cumprod": torch.linspace(1, 0, 500)}, file)
    with pytest.raises(IptError, match="its noise schedule of 500 steps is neither linear nor cosine"):
        load(file, head_channels=32)


def test_the_schedule_is_asked_for_where_nothing_says(checkpoint):
    file, _ = checkpoint(KERNEL)
    with pytest.raises(IptError, match=r"checkpoint.pt: nothing says .* set prior.schedule=linear, .* cosine"):
        load(file, head_channels=32)
    # The step at noise level 1, where abar is a half: of cos^2 about the middle.
    steps = {
        ("linear", 1000): 259,
        ("cosine", 1000): 496,
        ("cosine", 4000): 1983,
    }
    for (schedule, length), step in steps.items():
        prior = load(file, head_channels=32, schedule=schedule, length=length)
        assert abs(float(prior.denoiser.timestep(torch.tensor([1.0]))) - step) < 2
    for wrong in ({"schedule": "sigmoid"}, {"schedule": "linear", "length": 1}):
        with pytest.raises(IptError, match="schedule is linear or cosine, and length a number of steps"):
            load(file, head_channels=32, **wrong)


def test_the_schedule_is_read_from_a_config(tmp_path, randomised):
    state = {name: value.contiguous() for name, value in randomised(KERNEL).float().state_dict().items()}
    save_file(state, tmp_path / "net.safetensors")
    config = {"architecture": "adm", "network": KERNEL.to_dict(), "kind": "kernel", "schedule": "cosine", "length": 200}
    (tmp_path / "config.json").write_text(json.dumps(config))
    prior = load(tmp_path / "net.safetensors")
    assert abs(float(prior.denoiser.timestep(torch.tensor([1.0]))) - 98.7) < 1


def test_a_checkpoint_with_other_parameters_is_refused(checkpoint, tmp_path):
    file, network = checkpoint(KERNEL)
    state = network.state_dict()
    del state["input_blocks.4.0.emb_layers.1.bias"]
    state["extra"] = torch.zeros(1)
    torch.save(state, file)
    with pytest.raises(IptError, match=r"1 missing \(input_blocks.4.0.emb_layers.1.bias\); 1 unexpected \(extra\)"):
        load(file, head_channels=32, schedule="linear")


def test_options_override_the_config(checkpoint):
    prior = load(checkpoint(FIELD)[0], scale=4.0, offset=1.0, sizes=[16], head_channels=32, schedule="linear")
    chart = prior.normalization((2, 16, 16))
    assert (chart.scale, chart.offset) == (4.0, 1.0)
    with pytest.raises(IptError, match="16 x 16"):
        prior.normalization((2, 32, 32))


def test_loading_leaves_the_global_random_numbers_alone(folder, checkpoint):
    paths = [folder(), checkpoint(KERNEL)[0]]
    state = torch.random.get_rng_state()
    for path in paths:
        load(path, head_channels=32, schedule="linear")
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
