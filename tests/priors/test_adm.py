"""The ADM network: the parameters of the published checkpoints, and that a checkpoint tells its own configuration."""

import re

import pytest
import torch

from ipt.priors.adm import ADMUNet
from ipt.priors.adm_config import ADMConfig

FFHQ = ADMConfig(3)
OPENAI = ADMConfig(3, 256, blocks=2, attention=(3, 4, 5))
TINY = ADMConfig(1, 32, (1, 2), attention=(1,), head_channels=16)


def shapes(config):
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in ADMUNet(config).state_dict().items()}


def meta_state(config):
    with torch.device("meta"):
        return ADMUNet(config).state_dict()


@pytest.mark.parametrize(("config", "parameters", "tensors"), [(FFHQ, 93_563_910, 362), (OPENAI, 552_814_086, 566)])
def test_published_sizes(config, parameters, tensors):
    """The files are 374 MB and 2.2 GB of float32: that many parameters."""
    state = meta_state(config)
    assert sum(value.numel() for value in state.values()) == parameters
    assert len(state) == tensors


def test_ffhq_names_and_shapes():
    found = shapes(FFHQ)
    expected = {
        "time_embed.0.weight": (512, 128),
        "time_embed.2.bias": (512,),
        "input_blocks.0.0.weight": (128, 3, 3, 3),
        "input_blocks.1.0.in_layers.0.weight": (128,),
        "input_blocks.1.0.in_layers.2.weight": (128, 128, 3, 3),
        "input_blocks.1.0.emb_layers.1.weight": (256, 512),
        "input_blocks.2.0.out_layers.3.weight": (128, 128, 3, 3),
        "input_blocks.5.0.skip_connection.weight": (256, 128, 1, 1),
        "input_blocks.9.1.norm.weight": (512,),
        "input_blocks.9.1.qkv.weight": (1536, 512, 1),
        "input_blocks.9.1.proj_out.bias": (512,),
        "input_blocks.11.0.out_layers.0.weight": (512,),
        "middle_block.0.in_layers.2.weight": (512, 512, 3, 3),
        "middle_block.1.qkv.bias": (1536,),
        "middle_block.2.emb_layers.1.bias": (1024,),
        "output_blocks.0.0.in_layers.2.weight": (512, 1024, 3, 3),
        "output_blocks.1.1.in_layers.2.weight": (512, 512, 3, 3),
        "output_blocks.3.1.qkv.weight": (1536, 512, 1),
        "output_blocks.3.2.out_layers.3.weight": (512, 512, 3, 3),
        "output_blocks.11.0.skip_connection.weight": (128, 256, 1, 1),
        "out.0.weight": (128,),
        "out.2.weight": (6, 128, 3, 3),
    }
    assert {name: found.get(name) for name in expected} == expected
    with_attention = {re.match(r"(.*?\.\d+)", name)[1] for name in found if name.endswith("qkv.weight")}
    assert with_attention == {"input_blocks.9", "middle_block.1", "output_blocks.2", "output_blocks.3"}


def test_strided_convolutions_have_their_own_names():
    state = shapes(ADMConfig(1, 32, (1, 2), attention=(), updown=False, head_channels=32))
    assert state["input_blocks.2.0.op.weight"] == (32, 32, 3, 3)
    assert state["output_blocks.1.1.conv.weight"] == (64, 64, 3, 3)


@pytest.mark.parametrize("config", [TINY, ADMConfig(2, 32, (1, 2), 2, (0,), False, False, False, None, 2, "new")])
def test_shape_of_the_answer(config, randomised):
    network = randomised(config)
    image = torch.randn(2, config.channels, 8, 12, dtype=torch.float64)
    out = network(image, torch.tensor([3.0, 700.5], dtype=torch.float64))
    assert out.shape == (2, config.channels * (2 if config.learned_variance else 1), 8, 12)
    alone = network(image[1:], torch.tensor([700.5], dtype=torch.float64))
    assert torch.allclose(out[1:], alone, atol=1e-12)
    assert not torch.allclose(network(image[1:], torch.tensor([3.0], dtype=torch.float64)), alone)


@pytest.mark.parametrize("order", ["legacy", "new"])
def test_attention_by_hand(order, randomised):
    """Both orders, against attention written out a head and a pixel at a time."""
    network = randomised(ADMConfig(1, 64, (1,), attention=(), head_channels=32, attention_order=order))
    layer = network.middle_block[1]
    features = torch.randn(1, 64, 2, 3, dtype=torch.float64)
    qkv = layer.qkv(layer.norm(features.reshape(1, 64, 6)))[0]
    mixed = []
    for head in range(2):
        if order == "legacy":
            query, key, value = qkv[head * 96 : (head + 1) * 96].split(32)
        else:
            query, key, value = (qkv[64 * part + 32 * head : 64 * part + 32 * (head + 1)] for part in range(3))
        weights = (query.T @ key / 32**0.5).softmax(dim=1)
        mixed.append((weights @ value.T).T)
    expected = features.reshape(1, 64, 6) + layer.proj_out(torch.cat(mixed)[None])
    assert torch.allclose(layer(features), expected.reshape(1, 64, 2, 3), atol=1e-12)
