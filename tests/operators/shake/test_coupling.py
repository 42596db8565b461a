"""What neighbouring kernels make of each other."""

from __future__ import annotations

import torch

from ipt.operators.shake.coupling import coupled
from ipt.operators.shake.tiles import nodes
from ipt.operators.shake.trajectories import CameraShake

SIDE, FRAME = 15, (192, 192)
PLACES = torch.cartesian_prod(nodes(3, FRAME[0]), nodes(3, FRAME[1]))


def flat(value, tiles=9):
    return torch.full((1, tiles, 2 * SIDE, SIDE + 1), value, dtype=torch.float64)


def turned(rotation):
    return CameraShake(extent=9.0, rotation=rotation, frame=FRAME).sample([2], (9, SIDE, SIDE)).double()


def noisy(kernels, level):
    generator = torch.Generator().manual_seed(0)
    return kernels + level * torch.randn(kernels.shape, dtype=torch.float64, generator=generator)


def error(found, true):
    return float((found - true).norm() / true.norm())


def apart(kernels):
    """What they have in common, and their differences from it."""
    one = kernels.mean(1, keepdim=True)
    return one, kernels - one


def test_what_all_have_in_common_is_no_difference():
    found = coupled(turned(0.0), flat(0.05), flat(0.3, 1), PLACES)
    assert found.abs().max() < 1e-6


def test_kernels_of_a_camera_that_turned_pass_and_their_noise_does_not():
    true = turned(1.5)
    level = 0.008
    kernels = noisy(true, level)
    one, differences = apart(kernels)
    # White noise of this level has this variance at every frequency.
    found = one + coupled(differences, flat(level**2 * SIDE**2), flat(0.3, 1), PLACES)
    assert error(found, true) < 0.6 * error(kernels, true)
    assert error(found, true) < 0.9 * error(one.expand_as(true), true)


def test_where_little_is_known_they_become_one():
    one, differences = apart(noisy(turned(1.0), 0.02))
    found = coupled(differences, flat(1e3), flat(0.3, 1), PLACES)
    assert found.abs().max() < 0.01 * one.abs().max()


def test_one_of_which_nothing_is_known_has_what_its_neighbours_say():
    _, true = apart(turned(0.5))
    kernels, variance = true.clone(), flat(1e-4)
    kernels[:, 0], variance[:, 0] = 0, 1e6
    found = coupled(kernels, variance, flat(0.3, 1), PLACES)
    assert error(found[:, 0], true[:, 0]) < 0.4
