"""The small U-Net: which of its forms see only surroundings."""

import pytest
import torch

from ipt.core.errors import IptError
from ipt.priors.unet import UNet, UNetConfig

LOCAL = UNetConfig(3, width=16, multipliers=(1, 2), attention=False, norm="pixel")


def network(config):
    torch.manual_seed(1)
    made = UNet(config)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return made.eval()


def changed_at_the_far_end(config):
    """How much the last pixels of a wide picture's output change with the first."""
    made, label = network(config), torch.zeros(1)
    picture = torch.randn(1, 3, 16, 160)
    other = picture.clone()
    other[..., :8] += 1
    with torch.no_grad():
        difference = (made(other, label) - made(picture, label)).abs().amax((0, 1, 2))
    assert difference[:8].max() > 1e-3
    return float(difference[-16:].max())


def test_with_pixel_norm_and_without_attention_what_is_far_does_not_count():
    assert LOCAL.local
    assert changed_at_the_far_end(LOCAL) == 0


@pytest.mark.parametrize("options", [{"norm": "group"}, {"attention": True}])
def test_group_norm_and_attention_see_the_whole_picture(options):
    config = UNetConfig(**{**LOCAL.to_dict(), "multipliers": (1, 2), **options})
    assert not config.local
    assert changed_at_the_far_end(config) > 1e-6


def test_the_norm_is_written_and_read_and_is_group_where_nothing_is_said():
    assert UNetConfig.from_dict(LOCAL.to_dict()) == LOCAL
    old = {name: value for name, value in LOCAL.to_dict().items() if name != "norm"}
    assert UNetConfig.from_dict(old).norm == "group"
    with pytest.raises(IptError, match=r"network.norm is group or pixel, not 'batch'"):
        UNetConfig(3, norm="batch")


def test_pixel_norm_makes_no_parameter_more_than_group_norm_but_the_last_has_none():
    names = {name for name, _ in UNet(LOCAL).named_parameters()}
    group = {name for name, _ in UNet(UNetConfig(**{**LOCAL.to_dict(), "norm": "group"})).named_parameters()}
    assert group - names == {"norm.weight", "norm.bias"} and names < group
