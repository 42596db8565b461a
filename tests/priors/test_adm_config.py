"""What determines an ADM network is read off its parameters."""

from __future__ import annotations

import pytest
import torch

from ipt.core.errors import IptError
from ipt.priors.adm import ADMUNet
from ipt.priors.adm_config import ADMConfig

FFHQ = ADMConfig(3)
OPENAI = ADMConfig(3, 256, blocks=2, attention=(3, 4, 5))
KERNEL = ADMConfig(1, 64, (1, 2, 3, 4), attention=(2,))
TILT = ADMConfig(2, 64)
TINY = ADMConfig(1, 32, (1, 2), attention=(1,), head_channels=16)


def meta_state(config):
    with torch.device("meta"):
        return ADMUNet(config).state_dict()


@pytest.mark.parametrize(
    "config",
    [
        FFHQ,
        OPENAI,
        KERNEL,
        TILT,
        ADMConfig(3, 64, (0.5, 1, 1), blocks=3, attention=(), updown=False, scale_shift=False, learned_variance=False),
    ],
)
def test_a_checkpoint_shows_its_configuration(config):
    assert ADMConfig.from_state(meta_state(config)) == config
    assert ADMConfig.from_dict(config.to_dict()) == config


def test_usual_sizes():
    assert [c.usual_size for c in (FFHQ, OPENAI, KERNEL, TILT, TINY)] == [256, 256, 64, 256, None]


def test_other_networks_are_refused():
    with pytest.raises(IptError, match=r"not an ADM .*time_embed.0.weight.*first keys are conv.weight"):
        ADMConfig.from_state({"conv.weight": torch.zeros(1)})
    labelled = {**meta_state(TINY), "label_emb.weight": torch.zeros(10, 128)}
    with pytest.raises(IptError, match="class label"):
        ADMConfig.from_state(labelled, 16)
    with pytest.raises(IptError, match="head_channels"):
        ADMConfig.from_state(meta_state(ADMConfig(1, 32, (1, 3), attention=(1,), head_channels=32)))
