"""Whether one kernel holds for the whole picture."""

from __future__ import annotations

import pytest
import torch

from ipt.core.observation import Observation
from ipt.operators.blur import Blur
from ipt.operators.blur.locality import DIFFERS, locality
from ipt.operators.shake import Shake
from ipt.operators.shake.trajectories import CameraShake

NOISE, SIDES = 0.01, (13, 13)


def found(rotation, mask=None):
    """Of two pictures blurred by a camera that turns by so many degrees, and the kernel of the middle."""
    shake = Shake(4, SIDES)
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(2, 3, *shake.image_shape((3, 96, 96))[1:], generator=generator)
    image = torch.nn.functional.avg_pool2d(image, 3, 1, 1)
    kernels = CameraShake(extent=7.0, rotation=rotation, frame=(96, 96)).sample([1, 2], (16, *SIDES))
    measurement = shake.forward(image, kernels)
    measurement = measurement + NOISE * torch.randn(measurement.shape, generator=generator)
    observation = Observation(measurement, torch.full((2, 1, 1, 1), NOISE), mask)
    blur = Blur(SIDES)
    residual = observation.residual(blur.forward(image, kernels.mean(1, keepdim=True)))
    return locality(observation, residual, image, blur.frame(tuple(image.shape[1:])))


def test_noise_is_the_same_everywhere():
    assert found(0.0).tolist() == pytest.approx([0, 0], abs=0.05)


def test_what_a_turn_leaves_is_not():
    assert found(4.0).min() > 2 * DIFFERS


def test_what_was_not_measured_has_no_say():
    mask = torch.ones(2, 1, 96, 96)
    mask[..., :48] = 0
    halves = found(0.0, mask)
    assert torch.isfinite(halves).all() and halves.max() < DIFFERS
