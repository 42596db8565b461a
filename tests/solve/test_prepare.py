"""What a picture becomes before it is solved."""

from __future__ import annotations

from ipt.linalg.random import image_seed
from ipt.solve.prepare import sample_seeds


def test_more_samples_keep_those_there_were():
    assert sample_seeds(1, "a.png", 3)[:1] == sample_seeds(1, "a.png", 1) == (image_seed(1, "a.png"),)
    assert len(set(sample_seeds(1, "a.png", 50)) | set(sample_seeds(1, "b.png", 50))) == 100
