"""FFDNet as its paper has it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as functional

from ipt.core.errors import IptError
from ipt.priors.ffdnet import FFDNet, FFDNetConfig

LOW = FFDNetConfig(3, 8, 3)


@pytest.fixture
def noisy():
    return torch.randn(4, 3, 12, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def test_ffdnet_is_its_paper(noisy):
    """Four pictures of half the sides and a map of the level (of 0..1), 3x3 convolutions with a rectifier between."""
    torch.manual_seed(3)
    made, sigma = FFDNet(LOW).double(), torch.tensor([0.1, 0.2, 0.05, 0.6]).double()
    features = []
    for picture, level in zip(0.5 + 0.5 * noisy, 0.5 * sigma, strict=True):
        # Sub-pictures of a channel come one after the other: rows first, then columns.
        quarters = [channel[row::2, column::2] for channel in picture for row in (0, 1) for column in (0, 1)]
        features.append(torch.stack([*quarters, torch.full((6, 8), level.item(), dtype=torch.float64)]))
    hidden = torch.stack(features)
    assert [(layer.in_channels, layer.out_channels) for layer in made.layers] == [(13, 8), (8, 8), (8, 12)]
    for number, layer in enumerate(made.layers):
        hidden = functional.conv2d(hidden, layer.weight, layer.bias, padding=1)
        hidden = hidden.clamp(min=0) if number < 2 else hidden
    expected = torch.zeros_like(noisy)
    for channel in range(3):
        for row in (0, 1):
            for column in (0, 1):
                expected[:, channel, row::2, column::2] = hidden[:, 4 * channel + 2 * row + column]
    torch.testing.assert_close(made(noisy, sigma), 2 * expected - 1)


@pytest.mark.parametrize("values", [{"channels": 0}, {"width": 0}, {"layers": 1}])
def test_an_ffdnet_that_is_none(values):
    with pytest.raises(IptError, match="channels and width from 1 up and 2 layers or more"):
        FFDNetConfig(**values)


def test_an_ffdnets_config_comes_back():
    assert FFDNetConfig.from_dict(LOW.to_dict()) == LOW and LOW.multiple == 2
    assert FFDNetConfig.from_dict({"width": "8"}) == FFDNetConfig(3, 8, 12)
