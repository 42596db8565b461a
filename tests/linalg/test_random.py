"""Per-image random streams."""

from __future__ import annotations

import random

import numpy
import pytest
import torch

from ipt.linalg.random import Noise, image_seed


def test_the_seed_of_an_image_is_the_same_on_every_machine():
    # sha256("7\na.png"), first 8 bytes, without the lowest bit.
    import hashlib

    expected = int(hashlib.sha256(b"7\na.png").hexdigest()[:16], 16) // 2
    assert image_seed(7, "a.png") == expected == image_seed(7, "a.png")
    assert len({image_seed(run, name) for run in (0, 1) for name in ("a", "b", "1\na")}) == 6
    assert 0 <= expected < 2**63


def test_an_image_draws_the_same_alone_and_in_any_batch():
    like = torch.empty(3, 2, 4, 4)
    batch = Noise([5, 6, 7])
    first, second = batch.like("image", like), batch.like("image", like)
    alone = Noise([6])
    assert torch.equal(alone.like("image", like[:1])[0], first[1])
    assert torch.equal(alone.like("image", like[:1])[0], second[1])
    turned = Noise([7, 5, 6])
    assert torch.equal(turned.like("image", like), first[[2, 0, 1]])
    assert not torch.equal(first, second) and not torch.equal(first[0], first[1])


def test_unknowns_do_not_share_draws():
    like = torch.empty(1, 1, 4, 4)
    alone, together = Noise([3]), Noise([3])
    kernel = together.like("kernel", like)
    image = together.like("image", like)
    together.like("kernel", like)
    assert torch.equal(alone.like("image", like), image)
    assert torch.equal(alone.like("image", like), together.like("image", like))
    assert not torch.equal(image, kernel)


def test_the_draws_are_standard_normal():
    draws = Noise([0, 1]).like("image", torch.empty(2, 1, 200, 200, dtype=torch.float64))
    for one in draws:
        assert abs(one.mean()) < 5 / 200 and abs(one.std() - 1) < 5 / 280
    assert abs((draws[0] * draws[1]).mean()) < 5 / 200


def test_restore_goes_on_where_state_was_taken():
    like = torch.empty(2, 1, 3, 3, dtype=torch.float64)
    noise = Noise([1, 2])
    noise.like("image", like)
    saved = noise.state()
    expected = [noise.like("image", like) for _ in range(3)]
    # The state is a copy: drawing on does not change it.
    for _ in range(2):
        other = Noise([1, 2])
        other.restore(saved)
        assert all(torch.equal(other.like("image", like), value) for value in expected)


def test_no_global_generator_is_read_or_moved():
    torch.manual_seed(0)
    random.seed(0)
    numpy.random.seed(0)
    before = torch.get_rng_state(), random.getstate(), numpy.random.get_state()[1].tolist()
    one = Noise([4]).like("image", torch.empty(1, 5))
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == random.getstate() and before[2] == numpy.random.get_state()[1].tolist()
    torch.manual_seed(99)
    assert torch.equal(one, Noise([4]).like("image", torch.empty(1, 5)))


def test_one_seed_an_image():
    with pytest.raises(ValueError, match="2 seeds for a batch of 3"):
        Noise([0, 1]).like("image", torch.empty(3, 4))
