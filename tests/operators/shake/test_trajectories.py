"""Kernels of a camera that turns while it shakes."""

from __future__ import annotations

import math

import pytest
import torch

from ipt.core.errors import IptError
from ipt.operators.shake.trajectories import CameraShake, kernels_of
from ipt.testing import generator_checks

SHAPE = (9, 31, 31)


@pytest.mark.parametrize("check", generator_checks(CameraShake(), shape=SHAPE), ids=str)
def test_contract(check):
    check()


def degrees(poses):
    return (poses[:, 2].amax(1) - poses[:, 2].amin(1)).rad2deg()


def test_the_roll_has_the_angle_that_was_asked_for():
    poses = CameraShake(extent=6.0, rotation=(0.4, 0.6), frame=(128, 128)).poses(range(20), SHAPE)
    assert degrees(poses).min() > 0.39 and degrees(poses).max() < 0.61
    assert poses.mean(2).abs().max() < 1e-4


def test_without_a_roll_all_kernels_are_one():
    made = CameraShake(extent=12.0, rotation=0.0).sample([1, 2], SHAPE)
    assert torch.allclose(made, made[:, :1].expand_as(made), atol=1e-6)


def test_a_point_moves_as_the_turn_carries_it():
    """A camera that only turns: right of the middle light goes down and up, above it left and right."""
    poses = torch.zeros(1, 3, 200)
    poses[0, 2] = torch.linspace(-0.05, 0.05, 200)
    made = kernels_of(poses, 3, (240, 240), (15, 15))[0]
    rows, columns = made.sum(2), made.sum(1)
    # At 80 px from the middle, .05 rad are 4 px.
    right, above, middle = 5, 1, 4
    assert (rows[right] > 1e-3).sum() >= 8 and (columns[right] > 1e-3).sum() <= 3
    assert (columns[above] > 1e-3).sum() >= 8 and (rows[above] > 1e-3).sum() <= 3
    assert made[middle].max() > 0.98


def test_all_kernels_are_centred_and_sum_to_one():
    made = CameraShake(rotation=3.0).sample(range(5), SHAPE)
    place = torch.arange(31) - 15.0
    assert torch.allclose(made.sum((-2, -1)), torch.ones(5, 9), atol=1e-5)
    assert (made.sum(3) @ place).abs().max() < 0.02 and (made.sum(2) @ place).abs().max() < 0.02


def test_what_would_leave_the_window_is_smaller_but_one_camera_still():
    poses = CameraShake(extent=30.0, rotation=20.0).poses([4], (9, 15, 15))
    assert degrees(poses) < 10
    made = CameraShake(extent=30.0, rotation=20.0).sample([4], (9, 15, 15))
    assert torch.allclose(made, kernels_of(poses, 3, (256, 256), (15, 15)))


def test_a_larger_picture_differs_more():
    small, large = (CameraShake(extent=8.0, rotation=1.0).within((side, side)).sample([3], SHAPE) for side in (64, 256))

    def spread(kernels):
        return float((kernels - kernels.mean(1, keepdim=True)).norm())

    assert spread(large) > 1.5 * spread(small)
    fixed = CameraShake(frame=(64, 64))
    assert fixed.within((256, 256)) is fixed


def test_bad_options_are_named():
    with pytest.raises(IptError, match="no square grid"):
        CameraShake().sample([1], (8, 15, 15))
    with pytest.raises(IptError, match="rotation must be an interval"):
        CameraShake(rotation=(2.0, 1.0))
    with pytest.raises(IptError, match="exposure must be an interval"):
        CameraShake(exposure=0.0)
    assert math.isfinite(float(CameraShake(extent=1.0, rotation=0.0).sample([1], (1, 9, 9)).sum()))
