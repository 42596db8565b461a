"""Whether one kernel holds for the whole picture."""

from __future__ import annotations

import pytest
import torch

from ipt.core.abilities import Assessment
from ipt.core.observation import Observation
from ipt.operators.blur import Blur
from ipt.operators.blur.locality import DIFFERS, differs, locality, parts, sparser
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


def judged(share, probability=0.8, **evidence):
    return Assessment(probability, "", {"locality": share, **evidence})


@pytest.mark.parametrize(
    ("share", "probability", "side", "goes_on"),
    [
        # 441 lags, four quarters: .027 by chance at 256 px, .0067 at 512.
        (0.036, 0.8, 256, True),
        (0.034, 0.8, 256, False),
        (0.010, 0.8, 512, True),
        (0.008, 0.8, 512, False),
        # What is likely wrong is refined only where that may be why.
        (0.12, 0.4, 256, False),
        (0.14, 0.4, 256, True),
        (0.08, 0.4, 160, False),
    ],
)
def test_where_kernels_differ_by_more_than_chance_a_solve_goes_on(share, probability, side, goes_on):
    assert differs(judged(share, probability), (3, side, side)) == goes_on


def test_nothing_goes_on_where_it_cannot_be_told():
    assert not differs(Assessment(0.9, "", {}), (3, 256, 256))


@pytest.mark.parametrize(("height", "width", "count"), [(160, 300, 2), (256, 256, 2), (400, 900, 3), (1152, 1152, 8)])
def test_there_is_a_kernel_for_every_128_pixels(height, width, count):
    assert parts((3, height, width)) == count


def test_pictures_have_sparse_gradients():
    assert sparser(judged(0.1, sparsity=-0.5), judged(0.1, sparsity=-0.4))
    assert not sparser(judged(0.1, sparsity=-0.3), judged(0.1, sparsity=-0.4))
