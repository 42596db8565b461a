"""Parameters that are given."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ipt.core.errors import IptError
from ipt.operators.turbulence import Turbulence
from ipt.solve.known import checked

IMAGE = (1, 16, 20)
OPERATOR = Turbulence(5)
TILT = torch.full((2, 16, 20), 0.7)


def test_one_value_serves_every_frame_or_each_has_its_own():
    kernels = torch.rand(3, 1, 5, 5)
    apart = replace(OPERATOR, kernels="each")
    found = checked({"kernel": kernels, "tilt": TILT}, apart, IMAGE, 3)
    assert torch.equal(found["kernel"], kernels.reshape(1, 3, 5, 5))
    assert torch.equal(found["tilt"], TILT.repeat(3, 1, 1)[None])
    assert checked({}, OPERATOR, IMAGE) == {}


def test_what_frames_share_is_one_for_all():
    kernel = torch.rand(1, 5, 5)
    assert torch.equal(checked({"kernel": kernel}, OPERATOR, IMAGE, 3)["kernel"], kernel[None])
    assert torch.equal(checked({"kernel": kernel.expand(3, 1, 5, 5)}, OPERATOR, IMAGE, 3)["kernel"], kernel[None])
    with pytest.raises(IptError, match="all frames share one kernel, and the known ones differ"):
        checked({"kernel": torch.rand(3, 1, 5, 5)}, OPERATOR, IMAGE, 3)


@pytest.mark.parametrize(
    ("name", "value", "frames", "said"),
    [
        ("tilt", TILT[:, :15], 1, r"of shape \(2, 15, 20\); give one of the operator's, \(2, 16, 20\)$"),
        ("tilt", TILT[:, :, :9].expand(3, 2, 16, 9), 3, r", \(2, 16, 20\), or \(3, 2, 16, 20\) for the frames"),
        ("tilt", TILT.expand(4, 2, 16, 20), 3, "of 4 frames, and the input has 3"),
        ("tilt", TILT.expand(4, 2, 16, 20), 1, "of 4 frames, and the input is one picture"),
        ("tilt", TILT * 1e-5, 1, "nowhere above 7e-06 px; give it in pixels"),
        ("tilt", TILT * 20, 1, "reaches 14 px, beyond a picture of 20 x 16 px"),
        ("kernel", torch.rand(1, 17, 5), 1, "5 x 17 px, larger than the picture"),
        ("kernel", torch.rand(3, 5, 5), 3, r"of shape \(3, 5, 5\).*\(3, 1, 5, 5\) for the frames"),
        ("kernl", torch.rand(1, 5, 5), 1, "no parameter 'kernl'.*kernel"),
    ],
)
def test_what_cannot_be_is_said(name, value, frames, said):
    with pytest.raises(IptError, match=said):
        checked({name: value}, OPERATOR, IMAGE, frames)


def test_a_field_that_is_given_for_the_frame_goes_on_around_it():
    shape = OPERATOR.image_shape(IMAGE)
    rows, columns = OPERATOR.frame(shape)
    given = torch.rand(2, 16, 20, generator=torch.Generator().manual_seed(0))
    found = checked({"tilt": given}, OPERATOR, shape)["tilt"][0]
    assert found.shape == (2, *shape[1:]) and rows.start > 0
    assert torch.equal(found[:, rows, columns], given)
    assert torch.equal(found[:, 0, columns], given[:, 0]) and torch.equal(found[:, rows, -1], given[:, :, -1])
