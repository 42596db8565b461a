"""Crops of photographs: what a crop may be, that a batch is the same whenever it is asked for, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ipt.core.errors import IptError
from ipt.training.crops import REDUCTIONS, CropSource, load


def ramp(height, width, channels=3):
    """A photograph whose pixels name their places: red the row, green the column."""
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    return np.stack([rows, columns, np.full_like(rows, 7)][:channels], axis=-1)


def pixels(batch):
    return (127.5 * (batch + 1)).round()


def test_a_crop_is_a_piece_of_the_photograph_turned_or_mirrored():
    source = CropSource([ramp(40, 60), ramp(18, 19)], side=16, held_out=1)
    kinds = set()
    for crop in pixels(source.batch(0, 0, 200)):
        if crop[2].unique().tolist() != [7]:
            assert torch.equal(crop[0], crop[1])
            continue
        steps = [float(channel[1, 0] - channel[0, 0]) for channel in crop[:2]]
        across = [float(channel[0, 1] - channel[0, 0]) for channel in crop[:2]]
        assert [abs(one) for one in steps + across] in ([1, 0, 0, 1], [0, 1, 1, 0])
        kinds.add((*steps, *across))
    # Eight ways to turn and mirror; 18 pixels are too few to be reduced to 15.
    assert len(kinds) == 8


def test_reduced_photographs_are_cut_too():
    source = CropSource([ramp(64, 64), ramp(128, 128)], side=32, held_out=1)
    slopes = {round(float((c[0] - c[0, 0, 0]).abs().amax() / 31), 1) for c in pixels(source.batch(0, 0, 300))}
    assert slopes >= {round(1 / factor, 1) for factor in REDUCTIONS}


def test_one_in_twelve_is_grey():
    source = CropSource([ramp(64, 80), ramp(64, 80)], side=16, held_out=1)
    batch = source.batch(0, 0, 1200)
    grey = (batch.amax(1) == batch.amin(1)).all(2).all(1)
    assert 60 < int(grey.sum()) < 140


def test_a_batch_is_the_same_whenever_it_is_asked_for():
    one, other = (CropSource([ramp(40, 60), ramp(30, 50)], side=16, held_out=1) for _ in range(2))
    later = other.batch(3, 8, 4)
    assert torch.equal(one.batch(3, 8, 4), later)
    assert not torch.equal(one.batch(3, 9, 4), later)
    assert one.identity() == other.identity()
    assert one.identity() != CropSource([ramp(40, 60), 1 + ramp(30, 50)], side=16, held_out=1).identity()


def test_validation_is_of_the_photographs_held_out_alone():
    source = CropSource([np.full((40, 40, 3), 9, np.uint8), ramp(30, 50)], side=16, held_out=1)
    (held_out,) = source.validation(50)
    assert held_out.shape == (50, 3, 16, 16)
    assert pixels(held_out).unique().tolist() == [9]
    assert torch.equal(held_out, source.validation(50)[0])


def test_grey_photographs_give_grey_crops():
    source = CropSource([ramp(40, 60, 1), ramp(20, 22, 1)], side=16, held_out=1)
    assert source.channels == 1
    assert source.batch(0, 0, 5).shape == (5, 1, 16, 16)


@pytest.mark.parametrize(
    ("photographs", "held_out", "message"),
    [
        ([ramp(40, 40)], 1, "at least one is for validation and one to train on"),
        ([ramp(40, 40), ramp(40, 15)], 1, "photograph 1 is smaller than 16 x 16 px"),
        ([ramp(40, 40), ramp(40, 40, 1)], 1, "some photographs are grey and some in colour"),
    ],
)
def test_what_cannot_be_cut_is_refused(photographs, held_out, message):
    with pytest.raises(IptError, match=message):
        CropSource(photographs, 16, held_out)


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path):
    from PIL import Image

    for name, photograph in (("b.png", ramp(40, 60)), ("a.png", ramp(20, 22))):
        Image.fromarray(photograph).save(tmp_path / name)
    found = load(tmp_path)
    assert [one.shape for one in found] == [(20, 22, 3), (40, 60, 3)]
    assert np.array_equal(found[1], ramp(40, 60))
    assert load(tmp_path, 1)[0].shape == (20, 22, 1)
