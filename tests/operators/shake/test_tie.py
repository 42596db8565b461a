"""What neighbouring kernels make of each other."""

from __future__ import annotations

import torch

from ipt.operators.shake.tie import tied
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


def test_equal_kernels_stay_as_they_are():
    kernels = turned(0.0)
    assert error(tied(kernels, flat(0.05), flat(0.3, 1), PLACES), kernels) < 1e-3


def test_kernels_of_a_camera_that_turned_pass_and_their_noise_does_not():
    true = turned(1.5)
    level = 0.008
    kernels = noisy(true, level)
    # White noise of this level has this variance at every frequency.
    found = tied(kernels, flat(level**2 * SIDE**2), flat(0.3, 1), PLACES)
    assert error(found, true) < 0.6 * error(kernels, true)
    one = kernels.mean(1, keepdim=True).expand_as(true)
    assert error(found, true) < 0.9 * error(one, true)


def test_where_little_is_known_they_become_one():
    found = tied(noisy(turned(1.0), 0.02), flat(1e3), flat(0.3, 1), PLACES)
    assert (found - found.mean(1, keepdim=True)).abs().max() < 0.01 * found.abs().max()


def test_one_of_which_nothing_is_known_has_what_its_neighbours_say():
    true = turned(0.5)
    kernels, variance = true.clone(), flat(1e-4)
    kernels[:, 4], variance[:, 4] = 0, 1e6
    found = tied(kernels, variance, flat(0.3, 1), PLACES)
    assert error(found[:, 4], true[:, 4]) < 0.2
