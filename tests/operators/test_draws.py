"""Random numbers of generators: a row for each seed, and no global generator."""

from __future__ import annotations

import torch

from ipt.operators.draws import uniform_and_normal


def test_no_global_generator_is_read_or_moved():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    uniform_and_normal([1, 2], 3, 4)
    assert torch.equal(before, torch.get_rng_state())


def test_rows_of_uniform_and_normal_belong_to_their_seeds():
    uniform, normal = uniform_and_normal([8, 9], 3, 4)
    assert uniform.shape == (2, 3) and normal.shape == (2, 4)
    alone = uniform_and_normal([9], 3, 4)
    assert torch.equal(alone[0][0], uniform[1]) and torch.equal(alone[1][0], normal[1])
