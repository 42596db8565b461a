"""Diffusers' models as priors: their own schedulers' estimate of the clean picture, whatever the network predicts, and
what is no such model."""

import json
import math

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from ipt.cli.main import cli
from ipt.core.errors import IptError
from ipt.images import files
from ipt.priors.diffusers import DiffusersPrior, load
from ipt.priors.weights import TENSORS


@pytest.fixture
def diffusers():
    return pytest.importorskip("diffusers", reason="the optional package diffusers is not installed")


@pytest.fixture
def saved(diffusers, tmp_path):
    """A folder with a tiny network and its scheduler, both saved by diffusers; `pipeline` lays it out as a pipeline."""

    def make(scheduler="DDPMScheduler", pipeline=False, network=None, **options):
        torch.manual_seed(1)
        unet = diffusers.UNet2DModel(
            **{
                "sample_size": 16,
                "in_channels": 3,
                "out_channels": 3,
                "block_out_channels": (8, 16),
                "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
                "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
                "layers_per_block": 1,
                "norm_num_groups": 4,
                "attention_head_dim": 8,
                **(network or {}),
            }
        ).eval()
        process = getattr(diffusers, scheduler)(**options)
        folder = tmp_path / "model"
        if pipeline:
            diffusers.DDPMPipeline(unet, process).save_pretrained(folder)
        else:
            unet.save_pretrained(folder)
            process.save_pretrained(folder)
        return folder, unet, process

    return make


def theirs(unet, scheduler, timestep):
    """A noisy picture of the scheduler's own process in our variable, its level, and diffusers' own estimate of the
    clean one."""
    clean = torch.rand(2, 3, 16, 16) * 2 - 1
    x = scheduler.add_noise(clean, torch.randn_like(clean), torch.tensor([timestep]))
    with torch.no_grad():
        raw = unet(x, timestep).sample
    scheduler.set_timesteps(scheduler.config.num_train_timesteps)
    found = scheduler.step(raw, timestep, x, generator=torch.Generator().manual_seed(0)).pred_original_sample
    return x / scheduler.alphas_cumprod[timestep].sqrt(), level(scheduler, timestep), found


def level(scheduler, timestep):
    bar = scheduler.alphas_cumprod[timestep].double()
    return float(((1 - bar) / bar).sqrt())


PREDICTIONS = ["epsilon", "v_prediction", "sample"]
BETAS = ["linear", "scaled_linear", "squaredcos_cap_v2"]


@pytest.mark.parametrize("timestep", [1, 250, 700])
@pytest.mark.parametrize("betas", BETAS)
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_estimate_is_that_of_diffusers_own_scheduler(saved, prediction, betas, timestep):
    folder, unet, scheduler = saved(prediction_type=prediction, beta_schedule=betas, clip_sample=False)
    noisy, sigma, expected = theirs(unet, scheduler, timestep)
    found = load(folder).denoise(noisy, sigma)
    # What is left is rounding, which counts sigma times where noise is predicted.
    assert (found - expected).abs().max() <= 1e-5 * (max(1, sigma) if prediction == "epsilon" else 1)
    assert expected.std() > 0.01


@pytest.mark.parametrize("limit", [1.0, 0.3])
def test_the_estimate_is_clipped_where_the_scheduler_clips(saved, limit):
    folder, unet, scheduler = saved("DDIMScheduler", clip_sample=True, clip_sample_range=limit)
    noisy, sigma, expected = theirs(unet, scheduler, 300)
    assert torch.allclose(load(folder).denoise(noisy, sigma), expected, atol=1e-5)
    assert expected.abs().max() == limit


@pytest.mark.parametrize("scheduler", ["DDPM", "DDIM", "PNDM", "DPMSolverMultistep", "EulerDiscrete"])
def test_every_scheduler_of_one_process_gives_one_prior(saved, scheduler):
    noisy, sigma = torch.randn(1, 3, 16, 16), 0.8
    options = {"beta_schedule": "linear", "beta_start": 2e-4, "beta_end": 0.03}
    folder, unet, _ = saved(f"{scheduler}Scheduler", **options)
    betas = torch.linspace(2e-4, 0.03, 1000, dtype=torch.float64)
    bar = (1 - betas).cumprod(0)
    levels = ((1 - bar) / bar).log() / 2
    place = int(torch.searchsorted(levels, math.log(sigma)))
    part = (math.log(sigma) - levels[place - 1]) / (levels[place] - levels[place - 1])
    with torch.no_grad():
        raw = unet(noisy / math.hypot(1, sigma), (place - 1 + part).float()).sample
    clips = scheduler in ("DDPM", "DDIM")
    clean = (noisy - sigma * raw).clamp(-1, 1) if clips else noisy - sigma * raw
    assert torch.allclose(load(folder).denoise(noisy, sigma), clean, atol=1e-5)


def test_noise_beyond_the_process_is_its_last_step_also_where_that_is_noise_alone(saved):
    folder, _unet, scheduler = saved(
        "DDIMScheduler", prediction_type="v_prediction", rescale_betas_zero_snr=True, clip_sample=False
    )
    assert scheduler.alphas_cumprod[-1] == 0
    found = load(folder).denoise(1e4 * torch.randn(1, 3, 16, 16), 1e4)
    assert torch.isfinite(found).all() and found.abs().max() < 10


def test_a_learned_range_is_passed_on(saved):
    folder, unet, scheduler = saved(variance_type="learned_range", network={"out_channels": 6})
    noisy, sigma, expected = theirs(unet, scheduler, 150)
    estimate = load(folder).posterior(noisy, sigma)
    with torch.no_grad():
        raw = unet(noisy / math.hypot(1, sigma), 150).sample
    assert torch.allclose(estimate.variance_interpolation, (raw[:, 3:] + 1) / 2, atol=1e-5)
    assert torch.allclose(estimate.mean, expected, atol=1e-5)


def test_a_variance_learned_otherwise_is_left_out(saved):
    folder, _, _ = saved(variance_type="learned", network={"out_channels": 6})
    estimate = load(folder).posterior(torch.randn(1, 3, 16, 16), 0.5)
    assert estimate.variance_interpolation is None and estimate.mean.shape == (1, 3, 16, 16)


def test_learned_embeddings_get_whole_timesteps(saved):
    network = {"time_embedding_type": "learned", "num_train_timesteps": 1000}
    folder, unet, scheduler = saved(network=network, clip_sample=False)
    noisy, prior = torch.randn(1, 3, 16, 16), load(folder)
    between = math.sqrt(level(scheduler, 200) ** 1.8 * level(scheduler, 201) ** 0.2)
    with torch.no_grad():
        raw = unet(noisy / math.hypot(1, between), torch.tensor([200])).sample
    assert torch.allclose(prior.denoise(noisy, between), noisy - between * raw, atol=1e-5)


def test_a_pipeline_s_folder_is_the_same_prior(saved):
    folder, unet, scheduler = saved(pipeline=True)
    assert (folder / "unet" / "config.json").is_file() and not (folder / "config.json").exists()
    noisy = torch.randn(1, 3, 16, 16)
    expected = DiffusersPrior(unet, scheduler).denoise(noisy, 0.5)
    prior = load(folder)
    assert torch.allclose(prior.denoise(noisy, 0.5), expected, atol=1e-6)
    assert len(prior.weights_hash) == 64


def test_older_files_the_pickle_and_the_names_of_attention(saved):
    folder, _, _ = saved()
    noisy = torch.randn(1, 3, 16, 16)
    expected = load(folder).denoise(noisy, 0.5)
    former = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    state = load_file(folder / TENSORS)
    for name, old in former.items():
        state = {key.replace(f".{name}.", f".{old}."): value for key, value in state.items()}
    assert any(".proj_attn." in key for key in state)
    save_file(state, folder / TENSORS)
    assert torch.equal(load(folder).denoise(noisy, 0.5), expected)
    torch.save(state, folder / "diffusion_pytorch_model.bin")
    (folder / TENSORS).unlink()
    assert torch.equal(load(folder).denoise(noisy, 0.5), expected)
    torch.save({"layer": print}, folder / "diffusion_pytorch_model.bin")
    with pytest.raises(IptError, match="could run code"):
        load(folder)


def test_sizes(saved):
    folder, _, _ = saved()
    prior = load(folder)
    chart = prior.normalization((3, 16, 16))
    assert (chart.shape, chart.scale, chart.offset) == ((3, 16, 16), 0.5, 0.5)
    for shape, told in {(3, 32, 32): "16 x 16", (1, 16, 16): "3 channels"}.items():
        with pytest.raises(IptError, match=told):
            prior.normalization(shape)
    assert load(folder, sizes=(16, 32)).normalization((3, 32, 32)).shape == (3, 32, 32)
    with pytest.raises(IptError, match="multiples of 2"):
        load(folder, sizes=17)
    open_size, _, _ = saved(network={"sample_size": None})
    assert load(open_size, scale=1, offset=0).normalization((3, 18, 34)).offset == 0
    with pytest.raises(IptError, match="multiples of 2"):
        load(open_size).normalization((3, 17, 16))
    oblong, _, _ = saved(network={"sample_size": (16, 8)})
    assert load(oblong).normalization((3, 16, 8)).shape == (3, 16, 8)


def test_gradients_flow_the_parameters_are_frozen_and_random_numbers_stay(saved):
    folder, _, _ = saved()
    before = torch.random.get_rng_state()
    prior = load(folder)
    assert torch.equal(torch.random.get_rng_state(), before)
    noisy = torch.randn(2, 3, 16, 16, requires_grad=True)
    prior.denoise(noisy, 0.5)[0].sum().backward()
    assert noisy.grad[0].abs().max() > 0 and noisy.grad[1].abs().max() == 0
    assert not any(parameter.requires_grad for parameter in prior.network.parameters())
    rough = load(folder, precision="bf16").denoise(noisy, 0.5)
    assert rough.dtype == torch.float32 and 0 < (rough - prior.denoise(noisy, 0.5)).abs().max() < 0.1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"network": {"num_class_embeds": 4}}, "class"),
        ({"network": {"out_channels": 4}}, "4 channels of 3"),
        ({"scheduler": "ScoreSdeVeScheduler"}, "variance-preserving"),
        ({"scheduler": "DPMSolverMultistepScheduler", "prediction_type": "flow_prediction"}, "flow_prediction"),
    ],
)
def test_models_of_another_kind(saved, options, told):
    folder, _, _ = saved(**options)
    with pytest.raises(IptError, match=told):
        load(folder)


def test_weights_of_another_network(saved):
    folder, _, _ = saved()
    state = load_file(folder / TENSORS)
    save_file({key: value for key, value in state.items() if "conv_in" not in key}, folder / TENSORS)
    with pytest.raises(IptError, match=r"do not make a model.*conv_in"):
        load(folder)
    with pytest.raises(IptError, match="precision"):
        load(saved()[0], precision="fp8")


def test_the_command_line_solves_with_it(saved, tmp_path):
    folder, _, _ = saved(pipeline=True)
    files.write(tmp_path / "blurred.png", torch.rand(3, 16, 16))
    words = f"solve {tmp_path}/blurred.png -o {tmp_path}/out --prior hf:{folder} --prior kernel=box --steps 3"
    result = CliRunner().invoke(cli, [*words.split(), "--set", "operator.kernel_size=5"])
    assert result.exit_code == 0, result.output
    assert files.read(tmp_path / "out" / "blurred.png").pixels.shape == (3, 16, 16)
    record = json.loads((tmp_path / "out" / "blurred.json").read_text())
    assert record["weights"] == {"image": load(folder).weights_hash}
