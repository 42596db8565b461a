"""Training examples: the same whenever asked for, all of them once an epoch, the held-out ones never."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ipt.core.errors import IptError
from ipt.operators.blur.kernels import GaussianKernels
from ipt.training.sources import ArraySource, GeneratorSource, _permuted


def labelled(count: int) -> np.ndarray:
    """Pictures whose every pixel is the picture's number."""
    return np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 4, 4, 3)).copy()


def numbers(batch: torch.Tensor) -> list[int]:
    return ((batch[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()


@pytest.mark.parametrize("total", [1, 2, 3, 7, 8, 9, 64, 100, 257, 1000])
def test_the_shuffle_is_a_bijection(total):
    for seed in (0, 1, 2**62 + 5):
        assert sorted(_permuted(place, total, seed) for place in range(total)) == list(range(total))


def test_the_shuffle_mixes_and_depends_on_the_seed():
    first, second = ([_permuted(place, 1000, seed) for place in range(1000)] for seed in (1, 2))
    assert first != second
    # A random permutation has about one fixed point, and neighbours that are 333 apart on average.
    assert sum(place == value for place, value in enumerate(first)) < 8
    assert 250 < np.abs(np.diff(first)).mean() < 420


@pytest.mark.parametrize(("count", "batch"), [(30, 5), (30, 7), (11, 16)])
def test_an_epoch_shows_every_training_picture_once_and_no_held_out_one(count, batch):
    held_out, epochs = 6, 3
    source = ArraySource(labelled(count), held_out)
    total = count - held_out
    seen = []
    for number in range(-(-epochs * total // batch)):
        seen += numbers(source.batch(0, number, batch))
    assert min(seen) >= held_out
    counts = np.bincount(seen, minlength=count)[held_out:]
    # Batches are sorted within, and the last one runs into the next epoch.
    assert set(counts.tolist()) <= {epochs, epochs + 1, epochs + 2} and counts.min() == epochs
    if total % batch == 0:
        per_epoch = total // batch
        for epoch in range(epochs):
            part = [n for b in range(per_epoch) for n in numbers(source.batch(0, epoch * per_epoch + b, batch))]
            assert sorted(part) == list(range(held_out, count))


def test_a_batch_is_the_same_whenever_it_is_asked_for():
    pictures = np.random.default_rng(0).integers(0, 256, (20, 4, 6, 3), np.uint8)
    source, other = ArraySource(pictures, 2), ArraySource(pictures, 2)
    late = [other.batch(3, number, 5) for number in reversed(range(6))][::-1]
    for number in range(6):
        assert torch.equal(source.batch(3, number, 5), late[number])
    assert not torch.equal(source.batch(3, 0, 5), source.batch(4, 0, 5))
    assert not torch.equal(source.batch(3, 0, 5), source.batch(3, 1, 5))


def test_pictures_are_normalised_and_half_of_them_mirrored():
    pictures = np.zeros((200, 2, 2, 1), np.uint8)
    pictures[:, :, 0] = 255
    batch = ArraySource(pictures, 1).batch(0, 0, 150)
    assert batch.shape == (150, 1, 2, 2) and batch.dtype == torch.float32
    assert (batch.abs() == 1).all()
    assert 50 < int((batch[:, 0, 0, 0] == -1).sum()) < 100
    assert (ArraySource(pictures, 1, mirror=False).batch(0, 0, 150)[:, 0, 0, 0] == 1).all()


def test_validation_is_the_first_pictures_as_they_are():
    source = ArraySource(labelled(20), 6)
    assert numbers(source.validation(100)[0]) == [0, 1, 2, 3, 4, 5]
    assert numbers(source.validation(2)[0]) == [0, 1]


@pytest.mark.parametrize(
    ("pictures", "held_out", "message"),
    [
        (np.zeros((5, 4, 4), np.uint8), 1, r"pictures are uint8 \(N, H, W, C\)"),
        (np.zeros((5, 4, 4, 3)), 1, "not float64"),
        (labelled(5), 5, "none is left to train on"),
        (labelled(5), 0, "validation needs one at least"),
    ],
)
def test_arrays_that_cannot_be_trained_on_are_refused(pictures, held_out, message):
    with pytest.raises(IptError, match=message):
        ArraySource(pictures, held_out)


def test_the_identity_tells_sources_apart_but_not_by_their_place():
    one = ArraySource(labelled(20), 6, name="here").identity()
    assert one == ArraySource(labelled(20), 6, name="there").identity()
    others = [
        ArraySource(labelled(20)[::-1].copy(), 6),
        ArraySource(labelled(21), 6),
        ArraySource(labelled(20), 5),
        ArraySource(labelled(20), 6, mirror=False),
    ]
    assert all(other.identity() != one for other in others)


def test_generated_examples_fill_minus_one_to_one_on_every_canvas():
    source = GeneratorSource(GaussianKernels(), sizes=(8, 12))
    batches = [source.batch(0, number, 3) for number in range(12)]
    assert {batch.shape[-1] for batch in batches} == {8, 12}
    for batch in batches:
        assert batch.shape[:2] == (3, 1)
        torch.testing.assert_close(batch.amax((1, 2, 3)), torch.ones(3))
        assert batch.min() >= -1
    assert torch.equal(batches[7], GeneratorSource(GaussianKernels(), sizes=(8, 12)).batch(0, 7, 3))


def test_generated_validation_examples_are_never_trained_on():
    asked = []

    class Spy(GaussianKernels):
        def sample(self, seeds, shape):
            asked.append(set(seeds))
            return super().sample(seeds, shape)

    source = GeneratorSource(Spy(), sizes=(8, 12))
    asked.clear()
    groups = source.validation(10)
    held_out = set().union(*asked)
    assert [tuple(group.shape) for group in groups] == [(5, 1, 8, 8), (5, 1, 12, 12)]
    asked.clear()
    for number in range(40):
        source.batch(0, number, 16)
    trained = set().union(*asked)
    assert len(trained) > 600
    # Also to generators of random numbers that keep no more than 32 bits of a seed.
    assert not {seed % 2**32 for seed in held_out} & {seed % 2**32 for seed in trained}


def test_a_generator_of_other_channels_is_refused():
    with pytest.raises(IptError, match="draws 1 channel, not 2"):
        GeneratorSource(GaussianKernels(), channels=2)
    with pytest.raises(IptError, match="at one size"):
        GeneratorSource(GaussianKernels(), sizes=())
