"""What a training refuses."""

from __future__ import annotations

import pytest

from ipt.core.errors import IptError
from ipt.priors.unet import UNetConfig
from ipt.training.options import TrainingOptions
from ipt.training.sources import ArraySource
from ipt.training.trainer import Trainer

from .conftest import NETWORK, OPTIONS, gratings


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"rate": 0.5}, "rate: 0.001 before, 0.5 now"),
        ({"seed": 1, "batch": 8}, "batch: 4 before, 8 now; seed: 0 before, 1 now"),
        ({"precision": "bf16"}, "precision: fp32 before, bf16 now"),
    ],
)
def test_other_options_than_before_are_refused_with_the_difference(make_trainer, options, told):
    make_trainer(images=8).run()
    with pytest.raises(IptError) as caught:
        make_trainer(images=8, **options)
    assert told in str(caught.value)
    assert "change=True" in str(caught.value)
    make_trainer(images=16, accept_changes=True, **options).run()


def test_other_examples_than_before_are_refused(make_trainer):
    make_trainer(images=8).run()
    with pytest.raises(IptError, match=r"pictures: \[24, 8, 8, 1\] before, \[25, 8, 8, 1\] now"):
        make_trainer(images=8, source=ArraySource(gratings(25), held_out=4))
    with pytest.raises(IptError, match="digest"):
        make_trainer(images=8, source=ArraySource(gratings()[::-1], held_out=4))


def test_another_network_than_before_is_refused(make_trainer, tmp_path):
    make_trainer(images=8).run()
    wider = UNetConfig(1, width=16, multipliers=(1, 2))
    with pytest.raises(IptError, match="width: 8 before, 16 now"):
        Trainer(wider, ArraySource(gratings(), 4), TrainingOptions(**OPTIONS), tmp_path / "out", accept_changes=True)


def test_network_and_examples_must_fit(tmp_path):
    options = TrainingOptions(**OPTIONS)
    with pytest.raises(IptError, match="3 channels, the training examples 1"):
        Trainer(UNetConfig(3, width=8), ArraySource(gratings(), 4), options, tmp_path)
    with pytest.raises(IptError, match="multiples of 4, the training examples are 10 x 10 px"):
        Trainer(NETWORK, ArraySource(gratings(8, 10), 4), options, tmp_path)
